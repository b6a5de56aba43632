//! What only packed queues can get wrong.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Chain, Segment};

use crate::peer::{AVAILABLE, NEXT, USED, WRITE, descriptor, ends, meta};
use crate::support::{
    BUFFERS, DESCRIPTORS, DeviceEnd, DriverEnd, IN_ORDER, INDIRECT, PACKED, ZEROED, device_end, driver_end,
    setup,
};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Takes the next chain, with room for four segments.
fn pop<'s>(device: &mut DeviceEnd<RawMemory<'_>>, storage: &'s mut [Segment; 4]) -> Chain<'s> {
    device.pop(storage).unwrap().expect("a chain is available")
}

/// `count` segments there and back.
fn round(driver: &mut DriverEnd<RawMemory<'_>, u32>, device: &mut DeviceEnd<RawMemory<'_>>, count: usize) {
    driver.add(&vec![BYTE; count], &[], 0).unwrap();
    driver.publish_silently();
    let mut storage = [Segment::default(); 4];
    let chain = pop(device, &mut storage);
    assert_eq!(chain.readable(), vec![BYTE; count]);
    device.complete(chain.into_token(), 0).unwrap();
    device.publish_silently();
    assert!(driver.reap().unwrap().is_some());
}

/// libblkio 0.6.1: a chain of one is published with `NEXT`. DPDK f923636411: `NEXT` is missing in longer ones.
/// QEMU 33abfea23959: the id belongs in the last descriptor, and old QEMU wants it in all.
#[test]
fn every_descriptor_but_the_last_has_next_and_all_have_the_id() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut driver = driver_end(memory.clone(), &setup(5, PACKED));
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

/// libblkio 0.6.1, and Linux before it got `unpub_flags`: an add that fails late leaves descriptors that are
/// available on this lap.
#[test]
fn a_buffer_that_is_refused_leaves_no_trace() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut driver = driver_end(memory.clone(), &setup(4, PACKED | INDIRECT));
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
fn the_last_descriptor_has_the_id_that_counts() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_end(memory.clone(), &setup(4, PACKED));
    descriptor(&memory, DESCRIPTORS, BYTE, 0x7777, AVAILABLE | NEXT);
    descriptor(&memory, DESCRIPTORS + 16, BYTE, 3, AVAILABLE);
    let token = pop(&mut device, &mut [Segment::default(); 4]).into_token();
    device.complete(token, 0).unwrap();
    device.publish_silently();
    assert_eq!(meta(&memory, 0), (0, 3, USED));
}

/// DPDK 2d91b28730: the driver refilled the slot it saw, not the buffer with that id. DPDK ad6f01945a: the
/// device overwrites ids, so a slot's id has to be written anew each time.
#[test]
fn a_buffer_is_known_by_its_id_wherever_the_device_returns_it() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let (mut driver, mut device) = ends(&memory, &setup(2, PACKED));
    for cookie in [0, 1] {
        driver.add(&[BYTE], &[], cookie).unwrap();
    }
    driver.publish_silently();
    let [mut first, mut second] = [[Segment::default(); 4]; 2];
    let older = pop(&mut device, &mut first).into_token();
    let newer = pop(&mut device, &mut second).into_token();
    device.complete(newer, 0).unwrap();
    device.publish_silently();
    assert_eq!(driver.reap().unwrap().unwrap().cookie, 1);
    driver.add(&[BYTE], &[], 2).unwrap();
    driver.publish_silently();
    let newest = pop(&mut device, &mut second).into_token();
    for token in [newest, older] {
        device.complete(token, 0).unwrap();
    }
    device.publish_silently();
    assert_eq!([driver.reap(), driver.reap()].map(|used| used.unwrap().unwrap().cookie), [2, 0]);
}

/// DPDK 92ed77dce6: masks, where the size is no power of two. OpenVMM #2983: a chain that crosses the end of the
/// ring. DPDK 2e3f1ab0d8: the two sides cross it at different times.
#[test]
fn chains_cross_the_end_of_a_ring_of_any_size() {
    for size in 1..=7u16 {
        for count in 1..=usize::from(size).min(4) {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let (mut driver, mut device) = ends(&memory, &setup(size, PACKED));
            (0..4 * size).for_each(|_| round(&mut driver, &mut device, count));
        }
    }
}

/// OpenVMM #3990: a chain over the whole ring ends in the slot where it began, but on the next lap.
#[test]
fn a_chain_over_the_whole_ring_toggles_the_wrap_counter() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let (mut driver, mut device) = ends(&memory, &setup(3, PACKED));
    for wrap in [0, 1 << 15, 0] {
        round(&mut driver, &mut device, 3);
        assert_eq!((device.position().available, device.position().used), (wrap, wrap));
        assert_eq!(driver.position(), device.position());
    }
}

/// QEMU 6fcf5ebafad: off by one in a batch that is returned in order.
#[test]
fn an_in_order_batch_may_be_the_whole_ring() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let (mut driver, mut device) = ends(&memory, &setup(4, PACKED | IN_ORDER));
    for lap in 0..3 {
        (0..4).for_each(|cookie| driver.add(&[BYTE], &[], 4 * lap + cookie).unwrap());
        driver.publish_silently();
        for _ in 0..4 {
            let token = pop(&mut device, &mut [Segment::default(); 4]).into_token();
            device.complete(token, 0).unwrap();
        }
        device.publish_silently();
        (0..4).for_each(|cookie| assert_eq!(driver.reap().unwrap().unwrap().cookie, 4 * lap + cookie));
        assert_eq!(driver.reap(), Ok(None));
    }
}

/// QEMU's `virtqueue_packed_fill_desc` never sets `WRITE`, without which the length is reserved (VIRTIO 1.4,
/// 2.8.4 "Element Address and Length").
#[test]
fn the_length_of_a_used_descriptor_counts_even_where_the_device_forgets_write() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut driver = driver_end(memory.clone(), &setup(4, PACKED));
    driver.add(&[], &[BYTE], 0).unwrap();
    driver.publish_silently();
    descriptor(&memory, DESCRIPTORS, Segment::new(0, 1), 0, USED);
    assert_eq!(driver.reap().unwrap().unwrap().written, 1);
}
