//! VIRTIO 1.4, 2.7.4 "Message Framing" and 2.7.5 "The Virtqueue Descriptor Table".

use ring_core::error::AddErrorKind;
use ring_core::{Features, PopError, Reader, Segment, Violation, Writer};
use support::{IN_ORDER, SPLIT};

use crate::rig::{DRIVER_AREA, NO_DESCRIPTOR, Page, Queue, READ_A, READ_B, SPARE, WRITE_A, WRITE_B};

#[test]
fn device_2_7_4_1_a_message_may_be_in_any_number_of_descriptors() {
    let cuts: [&[u32]; 4] = [&[4], &[1, 3], &[3, 1], &[1, 1, 2]];
    for cut in cuts {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, SPLIT);
        queue.poke(SPARE, "78563412");
        let mut at = SPARE;
        let segments: Vec<Segment> = cut
            .iter()
            .map(|&len| {
                at += u64::from(len);
                Segment::new(at - u64::from(len), len)
            })
            .collect();
        let _ = queue.offer(&segments, &[], 0);
        let (readable, _, _) = queue.take();
        let mut reader = Reader::new(queue.device.memory(), &readable);
        assert_eq!(reader.read_value(), Ok([0x78, 0x56, 0x34, 0x12u8]), "{cut:?}");
    }
}

#[test]
fn device_2_7_4_1_a_chain_over_the_device_limit_can_be_returned_unused() {
    a_chain_over_the_device_limit_can_be_returned_unused(SPLIT);
}

#[test]
fn driver_2_7_4_2_writable_segments_come_after_readable_ones() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    let _ = queue.offer(&[READ_A, READ_B], &[WRITE_A, WRITE_B], 0);
    assert_eq!(
        queue.picture(),
        [
            "0010000000000000 10000000 0100 0100",
            "0020000000000000 20000000 0100 0200",
            "0030000000000000 30000000 0300 0300",
            "0040000000000000 40000000 0200 0000",
            "0000 0100 0000 0000 0000 0000 0000",
            "0000 0000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 0000",
        ]
    );
}

#[test]
fn device_2_7_4_2_a_readable_segment_after_a_writable_one_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    queue.expose(&[
        "0010000000000000 10000000 0100 0100",
        "0030000000000000 30000000 0300 0200",
        "0020000000000000 20000000 0000 0000",
    ]);
    assert_eq!(queue.driver_violation(), Violation::ReadableAfterWritable { position: 2 });
}

/// A [`Writer`] of the device writes only to the writable segments.
pub(crate) fn readable_memory_is_not_written(features: Features) {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, features);
    let (request, reply) = (Segment::new(SPARE, 4), Segment::new(SPARE + 4, 4));
    queue.poke(SPARE, "01020304");
    let _ = queue.offer(&[request], &[reply], 0);
    let (_, writable, token) = queue.take();
    let mut writer = Writer::new(queue.device.memory(), &writable);
    writer.write(&[0xff; 4]).unwrap();
    assert!(writer.write(&[0xff]).is_err());
    queue.device.complete(token, 4).unwrap();
    let _ = queue.device.publish();
    assert_eq!(queue.fields(SPARE, &[4, 4, 8]), "01020304 ffffffff 0000000000000000");
}

/// The device end itself does not read buffers.
pub(crate) fn writable_memory_is_not_read(features: Features) {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, features);
    let _ = queue.offer(&[], &[Segment::new(SPARE, 4)], 0);
    let _ = queue.use_next(4);
    let log = queue.device_log.take();
    assert!(log.iter().all(|line| !line.contains("bytes")), "{log:?}");
}

/// A chain with more segments than the device end has storage for can be returned.
pub(crate) fn a_chain_over_the_device_limit_can_be_returned_unused(features: Features) {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, features);
    let _ = queue.offer(&[READ_A, READ_B], &[WRITE_A], 7);
    let Err(PopError::TooLong(token)) = queue.device.pop(&mut [Segment::default(); 2]) else {
        panic!("three segments fit into storage for two")
    };
    queue.device.complete(token, 0).unwrap();
    let _ = queue.device.publish();
    assert_eq!(queue.reap(), Some((7, 0)));
}

#[test]
fn device_2_7_5_1_readable_memory_is_not_written() {
    readable_memory_is_not_written(SPLIT);
}

#[test]
fn device_2_7_5_1_writable_memory_is_not_read() {
    writable_memory_is_not_read(SPLIT);
}

#[test]
fn device_2_7_5_1_the_descriptor_table_is_not_written() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    for _ in 0..3 {
        let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
        let before = queue.picture();
        let _ = queue.use_next(0x30);
        let _ = queue.device.arm();
        let _ = queue.device.suspend();
        assert_eq!(queue.picture()[..2], before[..2]);
        queue.device.resume(queue.device.position()).unwrap();
        let _ = queue.reap();
    }
    let log = queue.device_log.take();
    let touched = |what| log.iter().any(|line| line.starts_with("descriptor") && line.contains(what));
    assert!(touched("read") && !touched("write") && !touched("store"), "{log:?}");
}

#[test]
fn driver_2_7_5_2_a_buffer_of_more_than_4_gib_is_refused() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    let half = Segment::new(0, 1 << 31);
    let error = queue.driver.add(&[half, half], &[Segment::new(0, 1)], 3).unwrap_err();
    assert_eq!((error.kind, error.cookie), (AddErrorKind::TooManyBytes { bytes: (1 << 32) + 1 }, 3));
    assert_eq!(queue.driver.add(&[half], &[half], 4), Ok(0));
}

#[test]
fn device_2_7_5_2_a_chain_of_more_than_4_gib_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    queue.expose(&[
        "0010000000000000 00000080 0100 0100",
        "0010000000000000 00000080 0100 0200",
        "0010000000000000 01000000 0000 0000",
    ]);
    assert_eq!(queue.driver_violation(), Violation::ChainBytes { bytes: (1 << 32) + 1 });
}

#[test]
fn device_2_7_5_2_a_chain_that_loops_is_a_violation() {
    // A chain of empty segments never exceeds 4 GiB.
    for len in ["10000000", "00000000"] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, SPLIT);
        let links = |next| format!("0010000000000000 {len} 0100 {next}");
        queue.expose(&[&links("0100"), &links("0000")]);
        assert_eq!(queue.driver_violation(), Violation::ChainLoop { size: 2 });
    }
}

#[test]
fn driver_2_7_5_2_in_order_chains_continue_around_the_end_of_the_table() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, IN_ORDER);
    let _ = queue.offer(&[READ_A], &[WRITE_A, WRITE_B], 0);
    let _ = queue.use_next(0);
    let _ = queue.reap();
    let _ = queue.offer(&[READ_B, READ_B], &[WRITE_B], 1);
    assert_eq!(
        queue.picture()[..5],
        [
            // The second chain begins at the last descriptor, whose successor is the first.
            "0020000000000000 20000000 0100 0100",
            "0040000000000000 40000000 0200 0200",
            "0040000000000000 40000000 0200 0300",
            "0020000000000000 20000000 0100 0000",
            "0100 0200 0000 0300 0000 0000 0000",
        ]
    );
}

#[test]
fn driver_2_7_5_in_order_the_table_is_used_from_its_first_descriptor() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, IN_ORDER);
    let _ = queue.offer(&[READ_A], &[], 0);
    assert_eq!(queue.picture()[..2], ["0010000000000000 10000000 0000 0000", NO_DESCRIPTOR]);
    let _ = queue.use_next(0);
    assert_eq!(queue.reap(), Some((0, 0)));
    let _ = queue.offer(&[READ_B], &[], 1);
    assert_eq!(
        queue.picture()[..2],
        ["0010000000000000 10000000 0000 0000", "0020000000000000 20000000 0000 0000"]
    );
}

#[test]
fn device_2_7_5_an_index_outside_the_table_is_a_violation() {
    for (driver_area, next, index) in [("0000 0100 0200", "0100", 2), ("0000 0100 0000", "ffff", 0xffff)] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, SPLIT);
        queue.expose(&[&format!("0010000000000000 10000000 0100 {next}")]);
        queue.poke(DRIVER_AREA, driver_area);
        assert_eq!(queue.driver_violation(), Violation::DescriptorIndex { index, size: 2 });
    }
}
