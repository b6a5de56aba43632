//! How a device end treats malformed or unusual chains.

use ring_core::memory::RawMemory;
use ring_core::{
    Chain, CompleteError, DeviceQueue, Features, PopError, QueueSize, Segment, SetupError, Violation, device,
};

use crate::peer::{AVAILABLE, AVAILABLE_AGAIN, NEXT, WRITE, descriptor, make_available, offer, put16};
use support::{
    BUFFERS, DESCRIPTORS, DRIVER, FORMATS, PACKED, Pair, SPLIT, ZEROED, device_queue, reset_device, setup,
};

const BYTE: Segment = Segment::new(BUFFERS, 1);
const EMPTY: Segment = Segment::new(BUFFERS, 0);

fn violation<T>(result: Result<T, PopError>) -> Option<Violation> {
    match result {
        Err(PopError::Violation(violation)) => Some(violation),
        _ => None,
    }
}

/// Returns the violation that the device end of a queue of four reports for one chain.
fn refusal(features: Features, chain: &[(Segment, u16)]) -> Option<Violation> {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, features));
    offer(&memory, features, chain);
    let refusal = violation(device.pop(&mut [Segment::default(); 8]));
    // OpenVMM #4036, #4045: a device end does not read a refused chain again.
    assert_eq!(refusal.and(violation(device.pop(&mut []))), None);
    refusal
}

/// CVE-2016-5403 (QEMU); in virtio-queue 0.18, the same head can be in flight twice.
#[test]
fn a_buffer_cannot_be_in_flight_twice() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(4, format));
        offer(&memory, format, &[(BYTE, 0)]);
        assert!(device.pop(&mut [Segment::default()]).unwrap().is_some());
        if format == SPLIT {
            make_available(&memory, &[0, 0]);
        } else {
            descriptor(&memory, DESCRIPTORS + 16, BYTE, 0, AVAILABLE);
        }
        let refusal = violation(device.pop(&mut [Segment::default()]));
        assert_eq!(refusal, Some(Violation::AlreadyInFlight { id: 0 }));
    }
}

/// CVE-2016-5403 (QEMU), OpenVMM #4002: slots were reused before they had been returned.
#[test]
fn no_more_descriptors_are_in_flight_than_the_queue_has() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(2, format));
        offer(&memory, format, &[(BYTE, NEXT), (BYTE, 0)]);
        assert!(device.pop(&mut [Segment::default(); 2]).unwrap().is_some());
        if format == SPLIT {
            make_available(&memory, &[0, 1]);
        } else {
            descriptor(&memory, DESCRIPTORS, BYTE, 1, AVAILABLE_AGAIN);
        }
        let refusal = violation(device.pop(&mut [Segment::default()]));
        assert_eq!(refusal, Some(Violation::TooManyInFlight { count: 3, size: 2 }));
    }
}

/// Found by the hostile tests: buffers that were completed and not published were not counted, so
/// that a driver could keep a device busy for ever.
#[test]
fn a_buffer_is_in_flight_until_it_is_published() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(1, format));
        offer(&memory, format, &[(BYTE, 0)]);
        let token = device.pop(&mut [Segment::default()]).unwrap().map(Chain::into_token).unwrap();
        device.complete(token, 0).unwrap();
        if format == SPLIT {
            put16(&memory, DRIVER + 2, 2);
        } else {
            descriptor(&memory, DESCRIPTORS, BYTE, 0, AVAILABLE_AGAIN);
        }
        let refusal = violation(device.pop(&mut [Segment::default()]));
        assert_eq!(refusal, Some(Violation::TooManyInFlight { count: 2, size: 1 }));
    }
}

/// CVE-2016-6490 (QEMU): any number of empty descriptors makes no progress. The immunant fork of
/// virtio-drivers follows a cycle for ever.
#[test]
fn a_cycle_of_empty_descriptors_is_a_violation() {
    let chain = [(EMPTY, NEXT); 4];
    assert_eq!(refusal(PACKED, &chain), Some(Violation::ChainLoop { size: 4 }));

    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, SPLIT));
    descriptor(&memory, DESCRIPTORS, EMPTY, NEXT, 1);
    descriptor(&memory, DESCRIPTORS + 16, EMPTY, NEXT, 0);
    make_available(&memory, &[0]);
    assert_eq!(violation(device.pop(&mut [])), Some(Violation::ChainLoop { size: 4 }));
}

/// CVE-2017-17381 (QEMU), vm-virtio b47a799, OpenVMM #2983: division by a size or alignment of 0.
#[test]
fn a_size_that_the_format_does_not_have_is_refused() {
    for (format, sizes) in [(SPLIT, [0, 3, 32769].as_slice()), (PACKED, &[0, 32769])] {
        for &size in sizes {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let refused = DeviceQueue::new(memory, &setup(size, format), [device::Slot::EMPTY; 8]);
            assert!(matches!(refused, Err(SetupError::Size(bad)) if bad.size == size), "{format:?} {size}");
        }
    }
    assert_eq!(QueueSize::packed(3).map(QueueSize::get), Ok(3));
}

/// vm-virtio #196, Firecracker #3149, acrn #7048: the device served whatever was behind the index.
#[test]
fn an_available_index_that_jumps_is_reported_once() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, SPLIT));
    put16(&memory, DRIVER + 2, 5);
    let refusal = violation(device.pop(&mut []));
    assert_eq!(refusal, Some(Violation::AvailableIndex { index: 5, next: 0, size: 4 }));
    assert_eq!(device.pop(&mut []), Ok(None));
}

/// vm-virtio #236: the sum of the lengths overflowed.
#[test]
fn a_chain_has_at_most_4_gib() {
    for format in FORMATS {
        let all_but_one = Segment::new(0, u32::MAX);
        assert_eq!(refusal(format, &[(all_but_one, NEXT), (Segment::new(0, 1), 0)]), None);
        let bytes = (1 << 32) + 1;
        let refused = refusal(format, &[(all_but_one, NEXT), (Segment::new(0, 2), 0)]);
        assert_eq!(refused, Some(Violation::ChainBytes { bytes }));
    }
}

/// Firecracker #1296, cloud-hypervisor #2450: an off-by-one error at the end of memory.
#[test]
fn the_last_byte_of_a_segment_may_be_at_the_last_address() {
    for format in FORMATS {
        assert_eq!(refusal(format, &[(Segment::new(u64::MAX, 1), 0)]), None);
        let refused = refusal(format, &[(Segment::new(u64::MAX, 2), 0)]);
        assert_eq!(refused, Some(Violation::AddressOverflow { address: u64::MAX, len: 2 }));
    }
}

/// tgoskits #1979: a chain of all descriptors was refused.
#[test]
fn a_chain_may_be_as_long_as_the_queue() {
    for format in FORMATS {
        assert_eq!(refusal(format, &[(BYTE, NEXT), (BYTE, NEXT), (BYTE, NEXT), (BYTE, 0)]), None);
    }
}

/// virtio-queue 0.18: a link that left the table ended the chain, which was served.
#[test]
fn a_link_to_no_descriptor_is_refused() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, SPLIT));
    descriptor(&memory, DESCRIPTORS, BYTE, NEXT, 99);
    make_available(&memory, &[0]);
    let refusal = violation(device.pop(&mut [Segment::default(); 4]));
    assert_eq!(refusal, Some(Violation::DescriptorIndex { index: 99, size: 4 }));
}

/// virtio-queue 0.18: head 500 was popped as a chain without descriptors.
#[test]
fn a_head_or_id_outside_the_queue_is_refused() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        // More slots than the queue has descriptors do not make an id valid.
        let slots = [device::Slot::EMPTY; 8];
        let mut device = DeviceQueue::new(memory.clone(), &setup(4, format), slots).unwrap();
        if format == SPLIT {
            make_available(&memory, &[4]);
        } else {
            descriptor(&memory, DESCRIPTORS, BYTE, 4, AVAILABLE);
        }
        let expected = if format == SPLIT {
            Violation::DescriptorIndex { index: 4, size: 4 }
        } else {
            Violation::BufferId { id: 4, size: 4 }
        };
        assert_eq!(violation(device.pop(&mut [Segment::default()])), Some(expected));
    }
}

/// virtio-queue 0.18 serves a chain that breaks this rule.
#[test]
fn a_readable_segment_after_a_writable_one_is_refused() {
    for format in FORMATS {
        let refused = refusal(format, &[(BYTE, WRITE | NEXT), (BYTE, 0)]);
        assert_eq!(refused, Some(Violation::ReadableAfterWritable { position: 1 }));
    }
}

/// vm-virtio d951283: chains that were in flight before a reset were returned after it.
#[test]
fn a_token_is_stale_after_a_reset() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let setup = setup(4, format);
        let mut pair = Pair::new(&memory, &setup);
        let _ = pair.offer(&[BYTE], &[], 0);
        let old = pair.take();
        reset_device(&mut pair.device, &memory, &setup);
        // The same buffer is in flight again: the tokens differ by their serials only.
        let new = pair.take();
        assert_eq!(pair.device.complete(old, 0), Err(CompleteError::Stale));
        assert_eq!(pair.device.complete(new, 0), Ok(()));
    }
}
