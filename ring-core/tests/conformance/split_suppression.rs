//! VIRTIO 1.4, 2.7.7 "Used Buffer Notification Suppression" and 2.7.10 "Available Buffer
//! Notification Suppression".

use ring_core::{Arm, Features};
use support::{EVENT_IDX, SPLIT};

use crate::rig::{DEVICE_AREA, DRIVER_AREA, Page, Queue, READ_A};

/// The address of `used_event` in a queue of four.
const USED_EVENT: u64 = DRIVER_AREA + 4 + 2 * 4;
/// The address of `avail_event` in a queue of four.
const AVAIL_EVENT: u64 = DEVICE_AREA + 4 + 8 * 4;

/// Returns each value that the `flags` at `area` have in a few rounds in which both sides sleep,
/// wake and poll.
fn flags_over_a_life(area: u64, features: Features) -> Vec<String> {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, features);
    let mut seen = vec![];
    let mut look = |queue: &Queue<'_>| {
        let flags = queue.fields(area, &[2]);
        if !seen.contains(&flags) {
            seen.push(flags);
        }
    };
    for cookie in 0..6 {
        let _ = queue.offer(&[READ_A], &[], cookie);
        look(&queue);
        let _ = queue.use_next(0);
        look(&queue);
        let _ = queue.reap();
        look(&queue);
        if cookie % 2 == 0 {
            let _ = (queue.driver.arm(), queue.device.arm());
            look(&queue);
        }
    }
    seen
}

/// Offers and uses buffers one by one until the index recurs. The event field of the other side
/// stays 0. Returns the indices of the buffers for which `end` sent a notification.
fn announced(end: &str) -> Vec<u32> {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, EVENT_IDX);
    let mut indices = vec![];
    for index in 0..=0x1_0000 {
        let [offered, used] = [queue.offer(&[READ_A], &[], 0), queue.use_next(0)];
        let _ = queue.reap();
        if (if end == "driver" { offered } else { used }).is_needed() {
            indices.push(index);
        }
        drop((queue.driver_log.take(), queue.device_log.take()));
    }
    indices
}

#[test]
fn driver_2_7_7_1_flags_are_0_or_1() {
    assert_eq!(flags_over_a_life(DRIVER_AREA, SPLIT), ["0000", "0100"]);
}

#[test]
fn driver_2_7_7_1_with_event_idx_flags_are_0() {
    assert_eq!(flags_over_a_life(DRIVER_AREA, EVENT_IDX), ["0000"]);
}

#[test]
fn driver_2_7_7_1_flags_1_suppress_notifications() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    let _ = queue.offer(&[READ_A], &[], 0);
    let _ = queue.use_next(0);
    assert_eq!(queue.fields(DRIVER_AREA, &[2]), "0000");
    let _ = queue.reap();
    assert_eq!(queue.fields(DRIVER_AREA, &[2]), "0100");
    assert_eq!(queue.driver.arm(), Arm::Armed);
    assert_eq!(queue.fields(DRIVER_AREA, &[2]), "0000");
}

#[test]
fn driver_2_7_7_1_used_event_asks_for_the_next_used_buffer() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, EVENT_IDX);
    for event in ["0100", "0200", "0300", "0400", "0500"] {
        let _ = queue.offer(&[READ_A], &[], 0);
        let _ = queue.use_next(0);
        let _ = queue.reap();
        assert_eq!(queue.driver.arm(), Arm::Armed);
        assert_eq!(queue.fields(USED_EVENT, &[2]), event);
    }
}

#[test]
fn driver_2_7_7_1_a_spurious_notification_has_no_effect() {
    for features in [SPLIT, EVENT_IDX] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        let _ = queue.offer(&[READ_A], &[], 0);
        let before = queue.picture();
        assert_eq!(queue.reap(), None);
        assert_eq!(queue.driver.arm(), Arm::Armed);
        assert_eq!(queue.picture(), before);
        assert!(queue.use_next(0).is_needed());
    }
}

#[test]
fn device_2_7_7_2_used_event_is_ignored_without_event_idx() {
    for event in ["0000", "0100", "ffff"] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, SPLIT);
        queue.poke(USED_EVENT, event);
        let _ = queue.offer(&[READ_A], &[], 0);
        assert!(queue.use_next(0).is_needed());
        let log = queue.device_log.take();
        assert!(log.iter().all(|line| !line.starts_with("driver+12")), "{log:?}");
    }
}

#[test]
fn device_2_7_7_2_flags_1_suppress_and_flags_0_do_not() {
    for (flags, needed) in [("0000", true), ("0100", false)] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, SPLIT);
        queue.poke(DRIVER_AREA, flags);
        let _ = queue.offer(&[READ_A], &[], 0);
        assert_eq!(queue.use_next(0).is_needed(), needed, "{flags}");
    }
}

#[test]
fn device_2_7_7_2_flags_are_ignored_with_event_idx() {
    for flags in ["0000", "0100"] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, EVENT_IDX);
        queue.poke(DRIVER_AREA, flags);
        let _ = queue.offer(&[READ_A], &[], 0);
        let _ = queue.offer(&[READ_A], &[], 1);
        // The event is at index 0.
        assert!(queue.use_next(0).is_needed(), "{flags}");
        assert!(!queue.use_next(0).is_needed(), "{flags}");
    }
}

#[test]
fn device_2_7_7_2_the_entry_at_used_event_is_announced_and_no_other() {
    assert_eq!(announced("device"), [0, 0x1_0000]);
}

#[test]
fn device_2_7_7_2_an_entry_at_used_event_inside_a_batch_is_announced() {
    for (event, needed) in [("ffff", false), ("0000", true), ("0100", true), ("0200", true), ("0300", false)]
    {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, EVENT_IDX);
        for cookie in 0..3 {
            let _ = queue.offer(&[READ_A], &[], cookie);
        }
        queue.poke(USED_EVENT, event);
        for token in [queue.token(), queue.token(), queue.token()] {
            queue.device.complete(token, 0).unwrap();
        }
        assert_eq!(queue.device.publish().is_needed(), needed, "{event}");
    }
}

#[test]
fn driver_2_7_10_1_a_new_used_ring_asks_for_notifications() {
    let mut page = Page::filled(0x01);
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    assert!(queue.offer(&[READ_A], &[], 0).is_needed());
    let _ = (queue.reap(), queue.driver.arm());
    let log = queue.driver_log.take();
    let touched = |what| log.iter().any(|line| line.starts_with("device") && line.contains(what));
    assert!(touched("load") && !touched("write") && !touched("store"), "{log:?}");
}

#[test]
fn driver_2_7_10_1_avail_event_is_ignored_without_event_idx() {
    for event in ["0000", "0100", "ffff"] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, SPLIT);
        queue.poke(AVAIL_EVENT, event);
        assert!(queue.offer(&[READ_A], &[], 0).is_needed());
        let log = queue.driver_log.take();
        assert!(log.iter().all(|line| !line.starts_with("device+36")), "{log:?}");
    }
}

#[test]
fn driver_2_7_10_1_flags_1_suppress_and_flags_0_do_not() {
    for (flags, needed) in [("0000", true), ("0100", false)] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, SPLIT);
        queue.poke(DEVICE_AREA, flags);
        assert_eq!(queue.offer(&[READ_A], &[], 0).is_needed(), needed, "{flags}");
    }
}

#[test]
fn driver_2_7_10_1_flags_are_ignored_with_event_idx() {
    for flags in ["0000", "0100"] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, EVENT_IDX);
        queue.poke(DEVICE_AREA, flags);
        // The event is at index 0.
        assert!(queue.offer(&[READ_A], &[], 0).is_needed(), "{flags}");
        assert!(!queue.offer(&[READ_A], &[], 1).is_needed(), "{flags}");
    }
}

#[test]
fn driver_2_7_10_1_the_entry_at_avail_event_is_announced_and_no_other() {
    assert_eq!(announced("driver"), [0, 0x1_0000]);
}

#[test]
fn driver_2_7_10_1_an_entry_at_avail_event_inside_a_batch_is_announced() {
    for (event, needed) in [("ffff", false), ("0000", true), ("0100", true), ("0200", true), ("0300", false)]
    {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, EVENT_IDX);
        queue.poke(AVAIL_EVENT, event);
        for cookie in 0..3 {
            queue.driver.add(&[READ_A], &[], cookie).unwrap();
        }
        assert_eq!(queue.driver.publish().is_needed(), needed, "{event}");
    }
}

#[test]
fn device_2_7_10_2_flags_are_0_or_1() {
    assert_eq!(flags_over_a_life(DEVICE_AREA, SPLIT), ["0000", "0100"]);
}

#[test]
fn device_2_7_10_2_with_event_idx_flags_are_0() {
    assert_eq!(flags_over_a_life(DEVICE_AREA, EVENT_IDX), ["0000"]);
}

#[test]
fn device_2_7_10_2_flags_1_suppress_notifications() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, SPLIT);
    let _ = queue.offer(&[READ_A], &[], 0);
    assert_eq!(queue.fields(DEVICE_AREA, &[2]), "0000");
    let _ = queue.token();
    assert_eq!(queue.fields(DEVICE_AREA, &[2]), "0100");
    assert_eq!(queue.device.arm(), Arm::Armed);
    assert_eq!(queue.fields(DEVICE_AREA, &[2]), "0000");
}

#[test]
fn device_2_7_10_2_avail_event_asks_for_the_next_available_buffer() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, EVENT_IDX);
    for event in ["0100", "0200", "0300", "0400"] {
        let _ = queue.offer(&[READ_A], &[], 0);
        let _ = queue.token();
        assert_eq!(queue.device.arm(), Arm::Armed);
        assert_eq!(queue.fields(AVAIL_EVENT, &[2]), event);
    }
}

#[test]
fn device_2_7_10_2_a_spurious_notification_has_no_effect() {
    for features in [SPLIT, EVENT_IDX] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        let before = queue.picture();
        assert_eq!(queue.device.pop(&mut []), Ok(None));
        assert_eq!(queue.device.arm(), Arm::Armed);
        assert_eq!(queue.picture(), before);
        assert!(queue.offer(&[READ_A], &[], 0).is_needed());
    }
}
