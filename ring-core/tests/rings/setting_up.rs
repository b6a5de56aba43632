//! Queues are set up in memories of different kinds.

use std::ops::Deref as _;
use std::sync::Arc;

use ring_core::error::AreaName;
use ring_core::index::QueueSizeError;
use ring_core::memory::{AccessError, Area, Memory, Platform, RawMemory, Store, VmMemory, Word};
use ring_core::{Areas, DeviceQueue, Features, Layout, Reader, Segment, Setup, SetupError, Writer, device};
use support::{BUFFERS, DESCRIPTORS, FORMATS, PACKED, Pair, SPLIT, ZEROED, setup};
use vm_memory::bitmap::{AtomicBitmap, Bitmap as _};
use vm_memory::{GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap, GuestMemoryRegion as _};

const PAGE: u64 = 0x1000;

/// Returns all of shared memory, mapped.
fn mapped() -> VmMemory<Arc<GuestMemoryMmap<()>>> {
    let range = (GuestAddress(DESCRIPTORS), size_of_val(&ZEROED));
    VmMemory::new(Arc::new(GuestMemoryMmap::from_ranges(&[range]).unwrap()))
}

/// Sends a request of three segments to the device and back, ten times.
fn run<M: Memory + Clone>(memory: &M, features: Features) {
    let mut pair = Pair::new(memory, &setup(4, features));
    let mut storage = [Segment::default(); 4];
    for round in 0..10u32 {
        memory.write_bytes(BUFFERS, &round.to_le_bytes()).unwrap();
        let question = [Segment::new(BUFFERS, 1), Segment::new(BUFFERS + 1, 3)];
        let _ = pair.offer(&question, &[Segment::new(BUFFERS + 0x100, 8)], round);
        let chain = pair.device.pop(&mut storage).unwrap().unwrap();
        let request: u32 = Reader::new(memory, chain.readable()).read_value().unwrap();
        assert_eq!(request, round);
        let mut writer = Writer::new(memory, chain.writable());
        writer.write_value(&(request + 1)).unwrap();
        let written = writer.written();
        let _ = pair.finish(chain.into_token(), written);
        assert_eq!(pair.reap(), Some((round, 4)));
    }
}

#[test]
fn queues_run_with_the_barriers_of_real_hardware() {
    for features in FORMATS {
        let mut words = ZEROED;
        run(&RawMemory::from_mut(&mut words, DESCRIPTORS).with_barriers::<Platform>(), features);
    }
}

/// Whatever the memory held before.
#[test]
fn a_new_queue_is_empty_and_asks_for_notifications() {
    for features in FORMATS {
        // An index that is far ahead, suppressed notifications, descriptors that look used.
        for byte in [0x01, 0x80, 0xff] {
            let mut words = ZEROED.map(|_| u64::from_ne_bytes([byte; 8]));
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

#[test]
fn queues_run_in_mapped_memory() {
    for features in FORMATS {
        run(&mapped(), features);
    }
}

#[test]
fn what_a_device_writes_is_marked_dirty() {
    for features in FORMATS {
        let ranges = [(GuestAddress(0), 8 * 0x1000)];
        let mapped = GuestMemoryMmap::<AtomicBitmap>::from_ranges(&ranges).unwrap();
        let memory = VmMemory::new(Arc::new(mapped.clone()));
        let region = mapped.find_region(GuestAddress(0)).unwrap();
        let dirty = || -> Vec<u64> {
            (0..8).filter(|page| region.bitmap().dirty_at(usize::try_from(page * PAGE).unwrap())).collect()
        };
        let areas = Areas { descriptor: 0, driver: PAGE, device: 2 * PAGE };
        let mut pair = Pair::new(&memory, &Setup::new(2, features, areas));
        let _ = pair.offer(&[], &[Segment::new(5 * PAGE, 8)], 0);
        region.deref().bitmap().reset();

        let mut storage = [Segment::default(); 2];
        let chain = pair.device.pop(&mut storage).unwrap().unwrap();
        Writer::new(&memory, chain.writable()).write(&[1; 8]).unwrap();
        assert!(dirty().contains(&5));
        let _ = pair.finish(chain.into_token(), 8);
        // A packed device writes descriptors, a split device writes its own area. Neither writes
        // the driver area.
        let ring = if features == PACKED { 0 } else { 2 };
        assert!(dirty().contains(&ring), "{:?}", dirty());
        assert!(!dirty().contains(&1), "{:?}", dirty());
    }
}

/// A pair beyond the end of memory marks no page.
#[test]
fn a_pair_of_words_that_spans_two_pages_marks_both_dirty() {
    const PAGE: usize = 0x1000;
    let mapped = GuestMemoryMmap::<AtomicBitmap>::from_ranges(&[(GuestAddress(0), 4 * PAGE)]).unwrap();
    let memory = VmMemory::new(Arc::new(mapped.clone()));
    let region = mapped.find_region(GuestAddress(0)).unwrap();
    let dirty = || [0, 1, 2, 3].map(|page| region.bitmap().dirty_at(page * PAGE));
    let area = memory.area(PAGE as u64, PAGE + 8).unwrap();
    area.write(usize::MAX, 1u32);
    area.write_pair(usize::MAX, (1u32, 2));
    area.store(usize::MAX, 1u32, Store::Relaxed);
    assert_eq!(dirty(), [false; 4]);
    area.write_pair(PAGE - 4, (1u32, 2));
    assert_eq!(dirty(), [false, true, true, false]);
}

#[test]
fn an_area_outlives_the_address_space_in_which_it_was_resolved() {
    let memory = mapped();
    let area = memory.area(DESCRIPTORS + 8, 16).unwrap();
    drop(memory);
    area.write_pair(0, (1u64, 2));
    assert_eq!(area.read_pair(0), (1u64, 2));
    assert_eq!((read::<u16>(&area, 8), read::<u32>(&area, 0)), (2, 1));
    // An access that leaves the area reads zero and writes nothing.
    area.write_pair(8, (3u64, 4));
    assert_eq!((area.read_pair(8), area.read_pair(0)), ((0u64, 0), (1u64, 2)));
}

fn read<W: Word>(area: &impl Area, offset: usize) -> W {
    area.read(offset)
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
fn the_debug_output_of_a_queue_does_not_show_its_memory() {
    for features in FORMATS {
        let memory = mapped();
        let Pair { driver, device } = Pair::new(&memory, &setup(2, features));
        let printed = format!("{driver:?} {device:?} {memory:?} {:?}", memory.area(DESCRIPTORS, 16).unwrap());
        assert!(printed.contains("size: QueueSize(2)") && printed.contains("VmArea"), "{printed}");
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

#[test]
fn a_size_that_the_format_does_not_have_has_no_layout() {
    assert_eq!(Layout::of(3, SPLIT), Err(QueueSizeError { size: 3 }));
    assert!(Layout::of(3, PACKED).is_ok());
    assert_eq!(Layout::of(0, PACKED), Err(QueueSizeError { size: 0 }));
    assert_eq!(Setup::contiguous(0, 0, SPLIT), Err(QueueSizeError { size: 0 }));
}
