//! Bugs of packed queues.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Position, Segment};

use crate::peer::{AVAILABLE, NEXT, USED, WRITE, descriptor, meta};
use support::{
    BUFFERS, DESCRIPTORS, IN_ORDER, INDIRECT, PACKED, Pair, ZEROED, device_queue, driver_queue, setup,
};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Sends a buffer of `count` segments to the device and back.
fn transfer(pair: &mut Pair<RawMemory<'_>>, count: usize) {
    let buffer = [BYTE; 4];
    let _ = pair.offer(&buffer[..count], &[], 0);
    let mut storage = [Segment::default(); 4];
    let chain = pair.device.pop(&mut storage).unwrap().expect("a chain is available");
    assert_eq!(chain.readable(), &buffer[..count]);
    let _ = pair.finish(chain.into_token(), 0);
    assert!(pair.reap().is_some());
}

/// libblkio 0.6.1: a chain of one descriptor is published with `NEXT`. DPDK f923636411: `NEXT` was
/// missing in longer chains. QEMU 33abfea23959: the id belongs in the last descriptor, and old QEMU
/// needs the id in every descriptor.
#[test]
fn every_descriptor_but_the_last_has_next_and_all_have_the_id() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut driver = driver_queue(memory.clone(), &setup(5, PACKED));
    driver.add(&[BYTE], &[], 0).unwrap();
    driver.add(&[BYTE], &[BYTE, BYTE], 1).unwrap();
    driver.publish_silently();
    assert_eq!(
        [0, 1, 2, 3, 4].map(|slot| meta(&memory, slot)),
        [
            (1, 0, AVAILABLE),
            (1, 1, AVAILABLE | NEXT),
            (1, 1, AVAILABLE | NEXT | WRITE),
            (1, 1, AVAILABLE | WRITE),
            (0, 0, 0),
        ]
    );
}

/// libblkio 0.6.1, and Linux before `unpub_flags`: an `add` that fails late leaves descriptors that
/// are available on this lap.
#[test]
fn a_refused_buffer_leaves_memory_unchanged() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut driver = driver_queue(memory.clone(), &setup(4, PACKED | INDIRECT));
    driver.add(&[BYTE], &[], 0).unwrap();
    driver.add(&[BYTE], &[], 1).unwrap();
    let snapshot = |memory: &RawMemory<'_>| {
        let mut bytes = [0; 0x400];
        memory.read_bytes(DESCRIPTORS, &mut bytes).unwrap();
        bytes
    };
    let before = snapshot(&memory);
    driver.add(&[BYTE], &[BYTE, BYTE], 2).unwrap_err();
    driver.add(&[Segment::new(0, u32::MAX)], &[Segment::new(0, 2)], 3).unwrap_err();
    driver.add_indirect(Segment::new(0, 64), &[BYTE], &[BYTE], 4).unwrap_err();
    driver.add_indirect(Segment::new(BUFFERS, 16), &[BYTE], &[BYTE], 5).unwrap_err();
    assert_eq!(snapshot(&memory), before);
    assert_eq!((driver.free(), driver.in_flight()), (2, 2));
}

/// QEMU 33abfea23959: a device took the id from the first descriptor.
#[test]
fn the_id_of_a_chain_is_in_its_last_descriptor() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, PACKED));
    descriptor(&memory, DESCRIPTORS, BYTE, 0x7777, AVAILABLE | NEXT);
    descriptor(&memory, DESCRIPTORS + 16, BYTE, 3, AVAILABLE);
    let mut storage = [Segment::default(); 2];
    let chain = device.pop(&mut storage).unwrap().expect("a chain is available");
    device.complete(chain.into_token(), 0).unwrap();
    device.publish_silently();
    assert_eq!(meta(&memory, 0), (0, 3, USED));
}

/// DPDK 2d91b28730: the driver refilled the slot in which it found the buffer, not the slot of the
/// id. DPDK ad6f01945a: the device overwrites ids, so the driver has to write the id of a slot each
/// time.
#[test]
fn a_buffer_is_identified_by_its_id_and_not_by_its_slot() {
    let mut words = ZEROED;
    let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(2, PACKED));
    for cookie in [0, 1] {
        let _ = pair.offer(&[BYTE], &[], cookie);
    }
    let (older, newer) = (pair.take(), pair.take());
    let _ = pair.finish(newer, 0);
    assert_eq!(pair.reap(), Some((1, 0)));
    let _ = pair.offer(&[BYTE], &[], 2);
    for token in [pair.take(), older] {
        let _ = pair.finish(token, 0);
    }
    assert_eq!([pair.reap(), pair.reap()], [Some((2, 0)), Some((0, 0))]);
}

/// DPDK 92ed77dce6: a mask was used where the size is not a power of two. OpenVMM #2983: a chain
/// crosses the end of the ring. DPDK 2e3f1ab0d8: the two sides cross the end of the ring at
/// different times.
#[test]
fn chains_cross_the_end_of_a_ring_of_any_size() {
    for size in 1..=7u16 {
        for count in 1..=usize::from(size).min(4) {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut pair = Pair::new(&memory, &setup(size, PACKED));
            (0..4 * size).for_each(|_| transfer(&mut pair, count));
        }
    }
}

/// OpenVMM #3990: a chain over the whole ring ends in the slot in which it began, on the next lap.
#[test]
fn a_chain_over_the_whole_ring_toggles_the_wrap_counter() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut pair = Pair::new(&memory, &setup(3, PACKED));
    for wrap in [0, 1 << 15, 0] {
        transfer(&mut pair, 3);
        assert_eq!(pair.device.position(), Position { available: wrap, used: wrap });
        assert_eq!(pair.driver.position(), pair.device.position());
    }
}

/// QEMU 6fcf5ebafad: an off-by-one error in a batch that was returned in order.
#[test]
fn an_in_order_batch_may_be_the_whole_ring() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut pair = Pair::new(&memory, &setup(4, PACKED | IN_ORDER));
    for _ in 0..3 {
        for cookie in 0..4 {
            let _ = pair.offer(&[BYTE], &[], cookie);
            let token = pair.take();
            pair.device.complete(token, 0).unwrap();
        }
        pair.device.publish_silently();
        (0..4).for_each(|cookie| assert_eq!(pair.reap(), Some((cookie, 0))));
        assert_eq!(pair.reap(), None);
    }
}

/// QEMU's `virtqueue_packed_fill_desc` never sets `WRITE`. Without this flag the length is
/// reserved: VIRTIO 1.4, 2.8.4 "Element Address and Length".
#[test]
fn the_length_of_a_used_descriptor_counts_without_the_write_flag() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut driver = driver_queue(memory.clone(), &setup(4, PACKED));
    driver.add(&[], &[BYTE], 0).unwrap();
    driver.publish_silently();
    descriptor(&memory, DESCRIPTORS, Segment::new(0, 1), 0, USED);
    assert_eq!(driver.reap().unwrap().unwrap().written, 1);
}
