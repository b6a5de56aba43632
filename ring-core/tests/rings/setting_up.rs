//! Queues are set up in memories of different kinds.

use ring_core::error::AreaName;
use ring_core::index::QueueSizeError;
use ring_core::memory::{AccessError, AlignedWord, Memory, NegotiatedBarriers, Platform, RawMemory, Windows};
use ring_core::{
    Areas, DeviceQueue, Features, Layout, Reader, Segment, Setup, SetupError, Writer, device, driver,
};
use support::{BUFFERS, DESCRIPTORS, DEVICE, DRIVER, FORMATS, PACKED, Pair, SPLIT, ZEROED, setup};

/// Sends a request of three segments to the device and back, ten times.
pub(crate) fn run<M: Memory + Clone>(memory: &M, features: Features) {
    let mut pair = Pair::new(memory, &setup(4, features));
    let mut storage = [Segment::default(); 4];
    for round in 0..10u32 {
        memory.write_bytes(BUFFERS, &round.to_le_bytes()).unwrap();
        let question = [Segment::new(BUFFERS, 1), Segment::new(BUFFERS + 1, 3)];
        let _ = pair.offer(&question, &[Segment::new(BUFFERS + 0x100, 8)], round);
        let chain = pair.device.pop(&mut storage).unwrap().unwrap();
        let request: [u8; 4] = Reader::new(memory, chain.readable()).read_value().unwrap();
        assert_eq!(u32::from_le_bytes(request), round);
        let mut writer = Writer::new(memory, chain.writable());
        writer.write_value(&(round + 1)).unwrap();
        let written = writer.written();
        let _ = pair.finish(chain.into_token(), written);
        assert_eq!(pair.reap(), Some((round, 4)));
    }
}

#[test]
fn queues_run_with_the_barriers_of_real_hardware() {
    for features in FORMATS {
        let mut words = ZEROED;
        run(&RawMemory::from_mut(&mut words, DESCRIPTORS).with_barriers(Platform), features);
    }
}

#[test]
fn queues_run_with_barriers_that_are_chosen_at_run_time() {
    for features in FORMATS {
        for negotiated in [features, features | Features::ORDER_PLATFORM] {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            run(&memory.with_barriers(NegotiatedBarriers::from(negotiated)), features);
        }
    }
}

#[test]
fn queues_run_in_memory_of_several_parts() {
    for features in FORMATS {
        let mut words = ZEROED;
        let (areas, buffers) = words.split_at_mut(usize::try_from(BUFFERS - DESCRIPTORS).unwrap() / 8);
        let buffers = RawMemory::from_mut(buffers, BUFFERS);
        run(&Windows([RawMemory::from_mut(areas, DESCRIPTORS), buffers]), features);
    }
}

#[test]
fn default_slots_are_empty() {
    let slots = (driver::Slot::<u8>::default(), device::Slot::default());
    let empty = (driver::Slot::<u8>::EMPTY, device::Slot::EMPTY);
    assert_eq!(format!("{slots:?}"), format!("{empty:?}"));
}

/// A new queue is empty whatever the memory contained before.
#[test]
fn a_new_queue_is_empty_and_asks_for_notifications() {
    for features in FORMATS {
        // An index that is far ahead, suppressed notifications, descriptors that look used.
        for byte in [0x01, 0x80, 0xff] {
            let mut words = ZEROED.map(|_| AlignedWord([byte; 8]));
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let setup = setup(4, features);
            let mut pair = Pair::new(&memory, &setup);
            for _ in 0..2 {
                assert_eq!(pair.reap(), None);
                assert_eq!(pair.device.pop(&mut []), Ok(None));
                assert!(pair.offer(&[Segment::new(BUFFERS, 8)], &[], 0).is_needed());
                let token = pair.take();
                assert!(pair.finish(token, 0).is_needed());
                pair.device.reset(memory.clone(), &setup).unwrap();
                pair.driver.reset(memory.clone(), &setup, drop).unwrap();
            }
        }
    }
}

/// With overlapping areas, each side would overwrite what the other side writes.
#[test]
fn areas_that_share_memory_are_refused() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let apart = setup(4, features);
        // The last bytes of an area count: a split driver area of four has 14 bytes.
        let last = if features == PACKED { 0 } else { 12 };
        for (areas, names) in [
            (Areas { driver: DESCRIPTORS + 48, ..apart.areas }, [AreaName::Descriptor, AreaName::Driver]),
            (Areas { device: DESCRIPTORS, ..apart.areas }, [AreaName::Descriptor, AreaName::Device]),
            (Areas { device: DRIVER + last, ..apart.areas }, [AreaName::Driver, AreaName::Device]),
            (Areas { driver: DEVICE + last, ..apart.areas }, [AreaName::Driver, AreaName::Device]),
        ] {
            let setup = Setup::new(4, features, areas);
            let refused = DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4]).map(drop);
            assert_eq!(refused, Err(SetupError::Overlap { areas: names }));
        }
    }
}

#[test]
fn too_few_slots_are_refused() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let Pair { mut driver, mut device } = Pair::new(&memory, &setup(2, features));
        let larger = setup(4, features);
        let too_few = SetupError::TooFewSlots { slots: 2, size: 4 };
        assert_eq!(device.reset(memory.clone(), &larger), Err(too_few));
        assert_eq!(driver.reset(memory.clone(), &larger, |_| ()), Err(too_few));
    }
}

#[test]
fn a_queue_keeps_its_format_across_a_reset() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let Pair { mut driver, mut device } = Pair::new(&memory, &setup(2, SPLIT));
    let packed = setup(2, PACKED);
    assert_eq!(device.reset(memory.clone(), &packed), Err(SetupError::Format));
    assert_eq!(driver.reset(memory.clone(), &packed, |_| ()), Err(SetupError::Format));
}

#[test]
fn a_device_with_staged_buffers_is_not_resumed() {
    for features in FORMATS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(2, features));
        let _ = pair.offer(&[Segment::new(BUFFERS, 8)], &[], 0);
        let token = pair.take();
        pair.device.complete(token, 0).unwrap();
        assert_eq!(pair.device.resume(pair.device.position()), Err(SetupError::Staged));
        let (position, _) = pair.device.suspend();
        assert_eq!(pair.device.resume(position), Ok(()));
        assert!(pair.reap().is_some());
    }
}

#[test]
fn memory_whose_alignment_differs_from_that_of_its_addresses_is_refused() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, 0x1004);
    let (setup, _) = Setup::contiguous(0x1040, 2, SPLIT).unwrap();
    let refused = DeviceQueue::new(memory, &setup, vec![device::Slot::EMPTY; 2]);
    let range = AccessError { address: 0x1040, len: 32 };
    assert_eq!(refused.err(), Some(SetupError::Unmapped { area: AreaName::Descriptor, range }));
}

/// On 32-bit x86, a `u64` may lie at an address that is 4 modulo 8.
#[test]
fn queues_run_in_memory_of_the_program_wherever_it_lies() {
    #[repr(C)]
    struct Shifted<T>(u32, T);

    for features in FORMATS {
        let (mut words, mut shifted) = (Shifted(0, ZEROED), Shifted(0, Shifted(0, ZEROED)));
        for words in [&mut words.1, &mut shifted.1.1] {
            run(&RawMemory::from_mut(words, DESCRIPTORS), features);
        }
    }
}

#[test]
fn a_size_that_the_format_does_not_have_has_no_layout() {
    assert_eq!(Layout::of(3, SPLIT), Err(QueueSizeError { size: 3 }));
    assert!(Layout::of(3, PACKED).is_ok());
    assert_eq!(Layout::of(0, PACKED), Err(QueueSizeError { size: 0 }));
    assert_eq!(Setup::contiguous(0, 0, SPLIT), Err(QueueSizeError { size: 0 }));
}
