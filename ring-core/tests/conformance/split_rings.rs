//! VIRTIO 1.4, 2.7.6 "The Virtqueue Available Ring", 2.7.8 "The Virtqueue Used Ring", 2.7.9
//! "In-order use of descriptors", 2.7.13 "Supplying Buffers to The Device" and 2.7.14 "Receiving
//! Used Buffers From The Device".

use ring_core::{Arm, CompleteError, Features, Segment, Violation, Writer};
use support::{EVENT_IDX, IN_ORDER, SPLIT};

use crate::rig::{
    DEVICE_AREA, DRIVER_AREA, NO_DESCRIPTOR, Page, Queue, READ_A, READ_B, SPARE, WRITE_A, WRITE_B,
};

#[test]
fn driver_2_7_6_1_the_index_counts_buffers_and_never_decreases() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, SPLIT);
    for count in 1..=0x1_0001u32 {
        let _ = queue.offer(&[READ_A], &[], count);
        // None of these calls takes a buffer back.
        queue.driver.add(&[READ_A], &[], 0).unwrap_err();
        let _ = queue.driver.suspend();
        queue.driver.resume();
        let _ = queue.use_next(0);
        assert_eq!(queue.reap(), Some((count, 0)));
        let [low, high, ..] = count.to_le_bytes();
        assert_eq!(queue.fields(DRIVER_AREA + 2, &[2]), format!("{low:02x}{high:02x}"));
        drop((queue.driver_log.take(), queue.device_log.take()));
    }
}

#[test]
fn device_2_7_6_1_an_index_that_decreases_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    let _ = queue.offer(&[READ_A], &[], 0);
    let _ = queue.token();
    queue.poke(DRIVER_AREA + 2, "0000");
    assert_eq!(queue.driver_violation(), Violation::AvailableIndex { index: 0, next: 1, size: 2 });
}

#[test]
fn device_2_7_6_1_a_buffer_that_was_seen_cannot_be_withdrawn() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    queue.driver.add(&[READ_A], &[], 0).unwrap();
    let _ = queue.offer(&[READ_B], &[], 1);
    let _ = queue.token();
    queue.poke(DRIVER_AREA + 2, "0100");
    assert_eq!(queue.take().0, [READ_B]);
}

#[test]
fn device_2_7_8_2_the_length_is_written_before_the_index() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    let _ = queue.offer(&[], &[WRITE_A], 0);
    let token = queue.token();
    drop(queue.device_log.take());
    queue.device.complete(token, 0x12).unwrap();
    queue.device.publish_silently();
    let log = ["device+4 write u32", "device+8 write u32", "device+2 store u16 Release"];
    assert_eq!(queue.device_log.take(), log);
    assert_eq!(
        queue.picture(),
        [
            "0030000000000000 30000000 0200 0000",
            NO_DESCRIPTOR,
            "0000 0100 0000 0000 0000",
            "0100 0100 00000000 12000000 00000000 00000000 0000",
        ]
    );
}

#[test]
fn device_2_7_8_2_the_buffer_is_written_from_its_start_before_the_index() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    let _ = queue.offer(&[], &[Segment::new(SPARE, 2), Segment::new(SPARE + 8, 8)], 0);
    let (_, writable, token) = queue.take();
    drop(queue.device_log.take());
    let mut writer = Writer::new(queue.device.memory(), &writable);
    writer.write(&[1, 2, 3]).unwrap();
    let written = writer.written();
    queue.device.complete(token, written).unwrap();
    queue.device.publish_silently();
    let log = queue.device_log.take();
    assert_eq!(log[..2], ["0x80 write 2 bytes", "0x88 write 1 bytes"]);
    assert_eq!(log.last().map(String::as_str), Some("device+2 store u16 Release"));
    assert_eq!(queue.fields(SPARE, &[2, 6, 1, 7]), "0102 000000000000 03 00000000000000");
    assert_eq!(queue.fields(DEVICE_AREA + 4, &[4, 4]), "00000000 03000000");
}

#[test]
fn device_2_7_8_2_a_length_over_what_is_writable_is_refused() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    let token = queue.token();
    let Err(CompleteError::TooManyBytes { token, written: 0x31 }) = queue.device.complete(token, 0x31) else {
        panic!("49 bytes fit into 48")
    };
    queue.device.complete(token, 0x30).unwrap();
}

#[test]
fn device_2_7_8_2_a_length_may_be_less_than_was_written() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    let _ = queue.offer(&[], &[Segment::new(SPARE, 8)], 0);
    let (_, writable, token) = queue.take();
    Writer::new(queue.device.memory(), &writable).write(&[0xff; 8]).unwrap();
    queue.device.complete(token, 0).unwrap();
    let _ = queue.device.publish();
    assert_eq!(queue.fields(DEVICE_AREA + 4, &[4, 4]), "00000000 00000000");
    assert_eq!(queue.reap(), Some((0, 0)));
}

#[test]
fn driver_2_7_8_3_nothing_is_read_beyond_the_length() {
    for (len, written) in [("12000000", 0x12), ("30000000", 0x30), ("31000000", 0x30), ("ffffffff", 0x30)] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, SPLIT);
        let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
        queue.poke(DEVICE_AREA, &format!("0000 0100 00000000 {len}"));
        assert_eq!(queue.reap(), Some((0, written)));
        let log = queue.driver_log.take();
        assert!(
            log.iter().all(|line| !line.contains("bytes")),
            "the buffer is the caller's to read: {log:?}"
        );
    }
}

#[test]
fn driver_2_7_8_an_id_or_index_that_was_not_made_available_is_a_violation() {
    for (area, violation) in [
        ("0000 0100 01000000", Violation::NotInFlight { id: 1 }),
        ("0000 0100 00000100", Violation::NotInFlight { id: 0x1_0000 }),
        ("0000 0200 00000000", Violation::UsedIndex { index: 2, next: 0, in_flight: 1 }),
    ] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, SPLIT);
        let _ = queue.offer(&[READ_A], &[], 0);
        queue.poke(DEVICE_AREA, area);
        assert_eq!(queue.device_violation(), violation);
    }
}

#[test]
fn device_2_7_9_each_buffer_of_a_batch_has_a_used_entry() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, IN_ORDER);
    for cookie in 0..3 {
        let _ = queue.offer(&[], &[WRITE_A], cookie);
    }
    for token in [queue.token(), queue.token(), queue.token()] {
        queue.device.complete(token, 0x30).unwrap();
    }
    let _ = queue.device.publish();
    assert_eq!(
        queue.picture()[5],
        "0100 0300 00000000 30000000 01000000 30000000 02000000 30000000 00000000 00000000 0000"
    );
}

#[test]
fn driver_2_7_9_skipped_buffers_count_as_used_completely() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, IN_ORDER);
    let _ = queue.offer(&[], &[WRITE_A], 0);
    let _ = queue.offer(&[READ_A], &[WRITE_B], 1);
    let _ = queue.offer(&[], &[WRITE_B], 2);
    queue.poke(DEVICE_AREA, "0000 0300 03000000 05000000");
    assert_eq!([0; 4].map(|_| queue.reap()), [Some((0, 0x30)), Some((1, 0x40)), Some((2, 5)), None]);
}

#[test]
fn driver_2_7_13_a_batch_becomes_visible_with_one_store() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    queue.driver.add(&[READ_A], &[], 0).unwrap();
    queue.driver.add(&[READ_B], &[], 1).unwrap();
    assert_eq!(queue.fields(DRIVER_AREA, &[2, 2, 2, 2]), "0000 0000 0000 0100");
    drop(queue.driver_log.take());
    queue.driver.publish_silently();
    assert_eq!(queue.driver_log.take(), ["driver+2 store u16 Release"]);
    assert_eq!(queue.fields(DRIVER_AREA, &[2, 2, 2, 2]), "0000 0200 0000 0100");
}

#[test]
fn device_2_7_13_3_a_chain_can_be_taken_as_soon_as_the_index_is_stored() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    queue.driver.add(&[READ_A], &[], 0).unwrap();
    assert_eq!(queue.device.pop(&mut []), Ok(None));
    queue.driver.publish_silently();
    assert_eq!(queue.take().0, [READ_A]);
}

#[test]
fn device_2_7_13_3_the_entry_and_the_chain_are_read_once_after_the_index() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, EVENT_IDX);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    let _ = queue.take();
    assert_eq!(
        queue.device_log.take(),
        [
            "driver+2 load u16 Acquire",
            "driver+4 read u16",
            "descriptor+0 read u64",
            "descriptor+8 read u64",
            "descriptor+16 read u64",
            "descriptor+24 read u64",
        ]
    );
}

#[test]
fn driver_2_7_13_3_1_the_index_is_stored_after_the_chain_and_the_entry() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    queue.driver.add(&[READ_A], &[WRITE_A], 0).unwrap();
    queue.driver.publish_silently();
    assert_eq!(
        queue.driver_log.take(),
        [
            "descriptor+0 write u64",
            "descriptor+8 write u64",
            "descriptor+16 write u64",
            "descriptor+24 write u64",
            // The last descriptor is written again, without the flag NEXT.
            "descriptor+24 write u64",
            "driver+4 write u16",
            "driver+2 store u16 Release",
        ]
    );
}

#[test]
fn driver_2_7_13_4_1_suppression_is_read_after_the_index_and_a_fence() {
    for (features, suppression) in
        [(SPLIT, "device+0 load u16 Relaxed"), (EVENT_IDX, "device+20 load u16 Relaxed")]
    {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, features);
        queue.driver.add(&[READ_A], &[], 0).unwrap();
        drop(queue.driver_log.take());
        let _ = queue.driver.publish();
        assert_eq!(queue.driver_log.take(), ["driver+2 store u16 Release", "fence", suppression]);
    }
}

#[test]
fn device_2_7_14_suppression_is_read_after_the_index_and_a_fence() {
    for (features, suppression) in
        [(SPLIT, "driver+0 load u16 Relaxed"), (EVENT_IDX, "driver+8 load u16 Relaxed")]
    {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, features);
        let _ = queue.offer(&[READ_A], &[], 0);
        let token = queue.token();
        queue.device.complete(token, 0).unwrap();
        drop(queue.device_log.take());
        let _ = queue.device.publish();
        assert_eq!(queue.device_log.take(), ["device+2 store u16 Release", "fence", suppression]);
    }
}

#[test]
fn driver_2_7_14_used_entries_are_read_after_the_index() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, EVENT_IDX);
    let _ = queue.offer(&[READ_A], &[], 0);
    let _ = queue.use_next(0);
    drop(queue.driver_log.take());
    let _ = queue.reap();
    let log = ["device+2 load u16 Acquire", "device+4 read u32", "device+8 read u32"];
    assert_eq!(queue.driver_log.take(), log);
}

/// The driver disables notifications when it reaps, and loads the queue again after it has armed.
pub(crate) fn notifications_are_off_between_a_reap_and_the_next_arm(features: Features, arming: [&str; 3]) {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, features);
    let _ = queue.offer(&[READ_A], &[], 0);
    let _ = queue.offer(&[READ_A], &[], 1);
    assert!(queue.use_next(0).is_needed());
    let _ = queue.reap();
    assert!(!queue.use_next(0).is_needed());
    // One buffer was used before notifications were enabled again.
    drop(queue.driver_log.take());
    assert_eq!(queue.driver.arm(), Arm::Pending);
    assert_eq!(queue.driver_log.take(), arming);
    assert_eq!(queue.reap(), Some((1, 0)));
    assert_eq!(queue.driver.arm(), Arm::Armed);
}

#[test]
fn driver_2_7_14_notifications_are_off_between_a_reap_and_the_next_arm() {
    let arming = ["driver+0 store u16 Relaxed", "fence", "device+2 load u16 Relaxed"];
    notifications_are_off_between_a_reap_and_the_next_arm(SPLIT, arming);
}
