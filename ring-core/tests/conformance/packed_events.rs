//! VIRTIO 1.4, 2.8.10 "Driver and Device Event Suppression", 2.8.14 "Event Suppression Structure
//! Format", 2.8.21 "Supplying Buffers to The Device" and 2.8.22 "Receiving Used Buffers From The
//! Device".

use ring_core::{Arm, Features};
use support::{EVENT_IDX, PACKED};

use crate::rig::{DEVICE_AREA, DRIVER_AREA, Page, Queue, READ_A, READ_B, WRITE_A};
use crate::split_rings::notifications_are_off_between_a_reap_and_the_next_arm;

const PACKED_EVENT_IDX: Features = PACKED.union(EVENT_IDX);

/// The suppression structure of the other side before buffers occupy slots 0 and 1 of a ring of
/// three on the first lap, and whether the other side has to be notified.
const SUPPRESSIONS: [(Features, &str, bool); 12] = [
    (PACKED, "0000 0000", true),
    (PACKED, "0000 0100", false),
    (PACKED_EVENT_IDX, "0000 0000", true),
    (PACKED_EVENT_IDX, "0000 0100", false),
    // At a descriptor: the offset of the descriptor, and the wrap counter in the highest bit.
    (PACKED_EVENT_IDX, "0080 0200", true),
    (PACKED_EVENT_IDX, "0180 0200", true),
    (PACKED_EVENT_IDX, "0280 0200", false),
    (PACKED_EVENT_IDX, "0000 0200", false),
    (PACKED_EVENT_IDX, "0100 0200", false),
    // The mode "at a descriptor" is valid only with EVENT_IDX, and the value 3 is reserved. An end
    // notifies in both cases, since a spurious notification is harmless.
    (PACKED, "0280 0200", true),
    (PACKED_EVENT_IDX, "0280 0300", true),
    // The other bits are reserved.
    (PACKED_EVENT_IDX, "0280 feff", false),
];

#[test]
fn driver_2_8_10_the_device_is_notified_as_it_asks() {
    for (features, suppression, needed) in SUPPRESSIONS {
        // The two descriptors are one buffer or two buffers.
        for lists in [[2, 0], [1, 1]] {
            let mut page = Page::default();
            let mut queue = Queue::new(&mut page, 3, features);
            queue.poke(DEVICE_AREA, suppression);
            for segments in lists.into_iter().filter(|segments| *segments > 0) {
                queue.driver.add(&[READ_A, READ_B][..segments], &[], 0).unwrap();
            }
            assert_eq!(queue.driver.publish().is_needed(), needed, "{features:?} {suppression} {lists:?}");
        }
    }
}

#[test]
fn device_2_8_10_the_driver_is_notified_as_it_asks() {
    for (features, suppression, needed) in SUPPRESSIONS {
        for lists in [[2, 0], [1, 1]] {
            let mut page = Page::default();
            let mut queue = Queue::new(&mut page, 3, features);
            for segments in lists.into_iter().filter(|segments| *segments > 0) {
                let _ = queue.offer(&[READ_A, READ_B][..segments], &[], 0);
                let token = queue.token();
                queue.device.complete(token, 0).unwrap();
            }
            queue.poke(DRIVER_AREA, suppression);
            assert_eq!(queue.device.publish().is_needed(), needed, "{features:?} {suppression} {lists:?}");
        }
    }
}

#[test]
fn both_2_8_10_an_event_is_due_on_its_lap_only() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED_EVENT_IDX);
    let mut notified = vec![];
    for index in 0..12 {
        // The event is at slot 1 with wrap counter 0, which occurs on every second lap.
        queue.poke(DEVICE_AREA, "0100 0200");
        let available = queue.offer(&[READ_A], &[], 0);
        queue.poke(DRIVER_AREA, "0100 0200");
        let used = queue.use_next(0);
        assert_eq!(available, used);
        let _ = queue.reap();
        if used.is_needed() {
            notified.push(index);
        }
    }
    assert_eq!(notified, [4, 10]);
}

#[test]
fn both_2_8_10_each_side_writes_its_own_structure_only() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED_EVENT_IDX);
    for _ in 0..4 {
        let _ = (queue.offer(&[READ_A], &[], 0), queue.device.arm());
        let _ = (queue.use_next(0), queue.driver.arm());
        let _ = queue.reap();
    }
    let areas = |log: Vec<String>, what| {
        let mut areas: Vec<String> = log.into_iter().filter(|line| line.contains(what)).collect();
        areas.retain(|line| !line.starts_with("descriptor"));
        areas.sort_unstable();
        areas.dedup();
        areas
    };
    let (driver, device) = (queue.driver_log.take(), queue.device_log.take());
    assert_eq!(areas(driver.clone(), "store"), ["driver+0 store u32 Relaxed"]);
    assert_eq!(areas(driver, "load"), ["device+0 load u32 Relaxed"]);
    assert_eq!(areas(device.clone(), "store"), ["device+0 store u32 Relaxed"]);
    assert_eq!(areas(device, "load"), ["driver+0 load u32 Relaxed"]);
}

/// Returns the structures at `area` after each reap and after each `arm` that follows.
fn structures(features: Features, area: u64, arm: fn(&mut Queue<'_>) -> Arm) -> [[String; 2]; 3] {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, features);
    [0; 3].map(|_| {
        let _ = queue.offer(&[READ_A], &[], 0);
        let _ = queue.use_next(0);
        let _ = queue.reap();
        let disabled = queue.fields(area, &[2, 2]);
        assert_eq!(arm(&mut queue), Arm::Armed);
        [disabled, queue.fields(area, &[2, 2])]
    })
}

/// The structures that both ends write without and with event indices.
const STRUCTURES: [(Features, [[&str; 2]; 3]); 2] = [
    (PACKED, [["0000 0100", "0000 0000"]; 3]),
    (PACKED_EVENT_IDX, [["0000 0100", "0180 0200"], ["0000 0100", "0000 0200"], ["0000 0100", "0100 0200"]]),
];

#[test]
fn driver_2_8_14_the_structure_enables_disables_or_names_a_descriptor() {
    for (features, expected) in STRUCTURES {
        assert_eq!(structures(features, DRIVER_AREA, |queue| queue.driver.arm()), expected);
    }
}

#[test]
fn device_2_8_14_the_structure_enables_disables_or_names_a_descriptor() {
    for (features, expected) in STRUCTURES {
        assert_eq!(structures(features, DEVICE_AREA, |queue| queue.device.arm()), expected);
    }
}

#[test]
fn device_2_8_21_1_a_list_can_be_taken_as_soon_as_its_flags_are_stored() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    queue.driver.add(&[READ_A], &[WRITE_A], 0).unwrap();
    assert_eq!(queue.device.pop(&mut []), Ok(None));
    queue.driver.publish_silently();
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A], vec![WRITE_A]));
}

#[test]
fn device_2_8_21_1_a_list_is_read_once_after_its_first_flags() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    let _ = queue.token();
    let mut log = queue.device_log.take();
    log.retain(|line| line.starts_with("descriptor"));
    assert_eq!(
        log,
        [
            "descriptor+8 load u64 Acquire",
            "descriptor+0 read u64",
            "descriptor+24 load u64 Relaxed",
            "descriptor+16 read u64",
        ]
    );
}

#[test]
fn driver_2_8_21_1_a_batch_becomes_visible_with_its_first_descriptor() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    queue.driver.add(&[READ_A], &[], 0).unwrap();
    queue.driver.add(&[READ_B], &[WRITE_A], 1).unwrap();
    assert_eq!(queue.device.pop(&mut []), Ok(None));
    drop(queue.driver_log.take());
    queue.driver.publish_silently();
    assert_eq!(queue.driver_log.take(), ["descriptor+8 store u64 Release"]);
    assert_eq!([queue.take().0, queue.take().0], [[READ_A], [READ_B]]);
}

#[test]
fn driver_2_8_21_1_1_the_flags_are_stored_after_the_rest_of_the_list() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    queue.driver.add(&[READ_A], &[WRITE_A], 0).unwrap();
    queue.driver.publish_silently();
    assert_eq!(
        queue.driver_log.take(),
        [
            "descriptor+0 write u64",
            "descriptor+16 write u64",
            "descriptor+24 store u64 Relaxed",
            "descriptor+8 store u64 Release",
        ]
    );
}

#[test]
fn driver_2_8_21_3_1_suppression_is_read_after_the_flags_and_a_fence() {
    for features in [PACKED, PACKED_EVENT_IDX] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, features);
        queue.driver.add(&[READ_A], &[], 0).unwrap();
        drop(queue.driver_log.take());
        let _ = queue.driver.publish();
        let log = ["descriptor+8 store u64 Release", "fence", "device+0 load u32 Relaxed"];
        assert_eq!(queue.driver_log.take(), log);
    }
}

#[test]
fn device_2_8_22_suppression_is_read_after_the_flags_and_a_fence() {
    for features in [PACKED, PACKED_EVENT_IDX] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, features);
        let _ = queue.offer(&[READ_A], &[], 0);
        let token = queue.token();
        drop(queue.device_log.take());
        queue.device.complete(token, 0).unwrap();
        let _ = queue.device.publish();
        let log = ["descriptor+8 store u64 Release", "fence", "driver+0 load u32 Relaxed"];
        assert_eq!(queue.device_log.take(), log);
    }
}

#[test]
fn driver_2_8_22_notifications_are_off_between_a_reap_and_the_next_arm() {
    for features in [PACKED, PACKED_EVENT_IDX] {
        let arming = ["driver+0 store u32 Relaxed", "fence", "descriptor+24 load u64 Relaxed"];
        notifications_are_off_between_a_reap_and_the_next_arm(features, arming);
    }
}

#[test]
fn device_2_8_22_arming_loads_the_next_slot_again() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[], 0);
    assert_eq!(queue.device.arm(), Arm::Pending);
    let log = ["device+0 store u32 Relaxed", "fence", "descriptor+8 load u64 Relaxed"];
    assert_eq!(queue.device_log.take(), log);
}
