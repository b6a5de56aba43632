//! How much a request or a round of requests may copy, and how much is taken from the guest.

mod support;

use std::time::Instant;

use isolation_host::device_type::DeviceType;
use ring_core::Segment;
use ring_core::memory::Memory as _;
use support::stepped::{DATA, MEMORY, REMOVABLE, Stepped};

/// The size of a large request.
const LARGE: u32 = 3 << 20;

#[test]
fn a_bad_segment_is_found_before_anything_is_copied() {
    let mut queue = Stepped::new(DeviceType::Generic);
    queue.memory.write_bytes(DATA, &[0xaa; 4096]).unwrap();
    // A driver lends only segments in its memory, so the memory of the last segment is removed
    // afterwards.
    queue.driver.add(&[Segment::new(DATA, 4096), Segment::new(REMOVABLE, 1)], &[], 1).unwrap();
    let _ = queue.driver.publish();
    queue.remove_memory();
    queue.run();
    assert_eq!(queue.reap(), Some((1, 0)));
    // The rings and the first blocks.
    let mut area = vec![0; 1 << 18];
    queue.window.read_bytes(queue.window.address(), &mut area).unwrap();
    assert_eq!(area.iter().filter(|byte| **byte == 0xaa).count(), 0);
}

#[test]
fn a_round_to_the_device_is_bounded_by_bytes() {
    let mut queue = Stepped::new(DeviceType::Blk);
    for number in 0..8 {
        queue.driver.add(&[Segment::new(DATA, LARGE)], &[Segment::new(DATA, 1)], number).unwrap();
    }
    let _ = queue.driver.publish();
    for expected in [2, 4, 6, 8] {
        assert!(queue.forwarded.run(Instant::now()).unwrap().again);
        assert_eq!(queue.forwarded.counters.to_device.get(), u64::from(LARGE) * expected);
    }
}

#[test]
fn a_round_to_the_guest_is_bounded_by_bytes_except_for_networks() {
    for (device_type, returned) in [(DeviceType::Blk, 2), (DeviceType::Generic, 2), (DeviceType::Net, 8)] {
        let mut queue = Stepped::new(device_type);
        for number in 0..8 {
            queue.request(&[], &[Segment::new(DATA, LARGE)], number);
        }
        while let Some((token, ..)) = queue.take() {
            queue.device.complete(token, LARGE).unwrap();
        }
        let _ = queue.device.publish();
        assert!(queue.forwarded.run(Instant::now()).unwrap().again);
        assert_eq!(queue.forwarded.counters.requests.get(), returned, "{device_type:?}");
        queue.run();
        assert_eq!(queue.forwarded.counters.requests.get(), 8, "{device_type:?}");
    }
}

#[test]
fn all_that_a_lost_device_has_used_is_returned() {
    let mut queue = Stepped::new(DeviceType::Blk);
    for number in 0..8 {
        queue.request(&[], &[Segment::new(DATA, LARGE)], number);
    }
    while let Some((token, ..)) = queue.take() {
        queue.device.complete(token, LARGE).unwrap();
    }
    let _ = queue.device.publish();
    queue.lose_device();
    assert_eq!((queue.forwarded.counters.requests.get(), queue.forwarded.in_flight()), (8, 0));
}

#[test]
fn the_segments_that_are_taken_from_the_guest_are_bounded() {
    const SEGMENTS: u32 = 250;
    let mut queue = Stepped::new(DeviceType::Generic);
    let segments: Vec<Segment> = (0..SEGMENTS).map(|_| Segment::new(DATA, 1)).collect();
    for number in 0..200 {
        // The guest may use one table for all requests.
        let table = Segment::new(MEMORY / 2, SEGMENTS * 16);
        queue.driver.add_indirect(table, &segments, &[], number).unwrap();
    }
    let _ = queue.driver.publish();
    queue.run();
    assert_eq!(queue.forwarded.in_flight(), 132);
    for number in 0..200 {
        let (token, bytes, _) = queue.take().unwrap();
        assert_eq!(bytes.len(), SEGMENTS as usize);
        queue.complete(token, 0);
        assert_eq!(queue.reap(), Some((number, 0)));
    }
}
