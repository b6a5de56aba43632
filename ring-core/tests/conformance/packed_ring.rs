//! VIRTIO 1.4, 2.8.1 "Driver and Device Ring Wrap Counters" and 2.8.2 "Polling of available and
//! used descriptors", with the requirements in 2.8.12 "Device Requirements: Virtqueues", 2.8.15
//! "Device Requirements: The Virtqueue Descriptor Table" and 2.8.16 "Driver Requirements: The
//! Virtqueue Descriptor Table".

use ring_core::error::AddErrorKind;
use ring_core::{Notify, Position, Violation};
use support::{IN_ORDER, PACKED};

use crate::rig::{NO_DESCRIPTOR, NO_EVENT, Page, Queue, READ_A, READ_B, WRITE_A, WRITE_B};
use crate::split_buffers::{readable_memory_is_not_written, writable_memory_is_not_read};

/// Returns the lines of a log that store to the descriptor area.
fn descriptor_stores(log: Vec<String>) -> Vec<String> {
    log.into_iter().filter(|line| line.starts_with("descriptor") && line.contains("store")).collect()
}

#[test]
fn both_2_8_1_wrap_counters_start_at_1() {
    let mut page = Page::default();
    let queue = Queue::new(&mut page, 3, PACKED);
    assert_eq!(queue.driver.position(), Position { available: 0x8000, used: 0x8000 });
    assert_eq!(queue.device.position(), Position { available: 0x8000, used: 0x8000 });
}

#[test]
fn driver_2_8_1_the_wrap_counter_changes_behind_the_last_descriptor() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    let _ = queue.use_next(0);
    let _ = queue.reap();
    let _ = queue.offer(&[READ_B, READ_B], &[], 1);
    assert_eq!(
        queue.picture()[..3],
        [
            // On the second lap AVAIL is 0 and USED is 1.
            "0020000000000000 20000000 0100 0080",
            "0030000000000000 30000000 0000 8200",
            "0020000000000000 20000000 0100 8100",
        ]
    );
    assert_eq!(queue.driver.position(), Position { available: 0x0001, used: 0x8002 });
}

#[test]
fn both_2_8_1_wrap_counters_change_with_each_descriptor_of_a_ring_of_one() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, PACKED);
    for (available, used) in [("8000", "8080"), ("0080", "0000"), ("8000", "8080"), ("0080", "0000")] {
        let _ = queue.offer(&[READ_A], &[], 0);
        assert_eq!(queue.picture()[0], format!("0010000000000000 10000000 0000 {available}"));
        let _ = queue.use_next(0);
        assert_eq!(queue.picture()[0], format!("0010000000000000 00000000 0000 {used}"));
        assert_eq!(queue.reap(), Some((0, 0)));
    }
}

#[test]
fn both_2_8_2_each_side_polls_one_slot() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, PACKED);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    drop(queue.driver_log.take());
    assert_eq!(queue.reap(), None);
    assert_eq!(queue.driver_log.take(), ["descriptor+8 load u64 Acquire"]);

    let _ = queue.use_next(0);
    let _ = queue.reap();
    drop((queue.device_log.take(), queue.driver_log.take()));
    assert_eq!(queue.device.pop(&mut []), Ok(None));
    assert_eq!(queue.reap(), None);
    // Both sides skip the two descriptors of the list.
    assert_eq!(queue.device_log.take(), ["descriptor+40 load u64 Acquire"]);
    assert_eq!(queue.driver_log.take(), ["descriptor+40 load u64 Acquire"]);
}

#[test]
fn device_2_8_12_buffers_are_taken_in_ring_order() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    // The buffers cross the end of the ring, and their ids are not in order.
    for (first, second) in [(READ_A, READ_B), (READ_B, READ_A), (READ_A, READ_A)] {
        let _ = queue.offer(&[first], &[], 0);
        let _ = queue.offer(&[second], &[], 1);
        let (one, two) = (queue.take(), queue.take());
        assert_eq!((one.0, two.0), (vec![first], vec![second]));
        queue.device.complete(two.2, 0).unwrap();
        queue.device.complete(one.2, 0).unwrap();
        let _ = queue.device.publish();
        assert_eq!([queue.reap(), queue.reap()], [Some((1, 0)), Some((0, 0))]);
    }
}

#[test]
fn device_2_8_12_used_descriptors_go_into_the_ring_in_order_of_completion() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[], &[WRITE_A], 0);
    let _ = queue.offer(&[], &[WRITE_B], 1);
    let (one, two) = (queue.token(), queue.token());
    for token in [two, one] {
        queue.device.complete(token, 1).unwrap();
        let _ = queue.device.publish();
    }
    assert_eq!(
        queue.picture(),
        [
            "0030000000000000 01000000 0100 8280",
            "0040000000000000 01000000 0000 8280",
            NO_DESCRIPTOR,
            NO_EVENT,
            "0000 0100",
        ]
    );
}

#[test]
fn device_2_8_12_the_first_used_descriptor_of_a_batch_is_stored_last() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    for cookie in 0..3 {
        let _ = queue.offer(&[READ_A], &[], cookie);
    }
    for token in [queue.token(), queue.token(), queue.token()] {
        queue.device.complete(token, 0).unwrap();
    }
    queue.device.publish_silently();
    assert_eq!(
        descriptor_stores(queue.device_log.take()),
        [
            "descriptor+24 store u64 Relaxed",
            "descriptor+40 store u64 Relaxed",
            "descriptor+8 store u64 Release",
        ]
    );
}

#[test]
fn device_2_8_15_readable_memory_is_not_written() {
    readable_memory_is_not_written(PACKED);
}

#[test]
fn device_2_8_15_writable_memory_is_not_read() {
    writable_memory_is_not_read(PACKED);
}

#[test]
fn device_2_8_15_a_descriptor_is_not_used_before_its_avail_flag_changes() {
    for lap in 0..2 {
        for (flags, available) in [("0000", None), ("8000", Some(0)), ("8080", None), ("0080", Some(1))] {
            let mut page = Page::default();
            let mut queue = Queue::new(&mut page, 1, PACKED);
            for cookie in 0..lap {
                let _ = queue.offer(&[READ_A], &[], cookie);
                let _ = queue.use_next(0);
            }
            queue.poke(0, &format!("0020000000000000 20000000 0000 {flags}"));
            let found = queue.device.pop(&mut [READ_A]).unwrap().is_some();
            assert_eq!(found, available == Some(lap), "{lap} {flags}");
        }
    }
}

#[test]
fn device_2_8_15_an_unavailable_descriptor_in_a_list_is_a_violation() {
    // A descriptor that is zeroed, used on this lap, or left over from the previous lap.
    for flags in ["0000", "8080", "0080"] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 3, PACKED);
        let second = format!("0020000000000000 20000000 0000 {flags}");
        queue.poke_table(0, &["0010000000000000 10000000 0000 8100", &second]);
        assert_eq!(queue.driver_violation(), Violation::NotAvailable { slot: 1 });
    }
}

#[test]
fn device_2_8_15_a_used_descriptor_is_written_once() {
    for features in [PACKED, PACKED.union(IN_ORDER)] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        for cookie in 0..4 {
            let _ = queue.offer(&[], &[WRITE_A], cookie);
        }
        // The first buffer is not full, so the device cannot skip it. The other buffers can be
        // skipped.
        for (token, written) in
            [queue.token(), queue.token(), queue.token(), queue.token()].into_iter().zip([0, 48, 48, 48])
        {
            queue.device.complete(token, written).unwrap();
        }
        let _ = queue.device.publish();
        let mut stores = descriptor_stores(queue.device_log.take());
        let count = stores.len();
        stores.sort_unstable();
        stores.dedup();
        assert_eq!(stores.len(), count, "{features:?}: {stores:?}");
        assert_eq!([0; 4].map(|_| queue.reap()), [Some((0, 0)), Some((1, 48)), Some((2, 48)), Some((3, 48))]);
    }
}

#[test]
fn driver_2_8_16_no_descriptor_is_changed_before_it_was_used() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[], 0);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 1);
    let before = queue.picture();
    let full = |free| AddErrorKind::Full { free, needed: 1 };
    assert_eq!(queue.driver.add(&[READ_B], &[], 2).unwrap_err().kind, full(0));
    // The list of two comes back first, in slot 0, so that slots 0 and 1 are free. The other buffer
    // comes back in slot 2.
    let (one, two) = (queue.token(), queue.token());
    queue.device.complete(two, 0).unwrap();
    let _ = queue.device.publish();
    assert_eq!(queue.reap(), Some((1, 0)));
    let _ = queue.offer(&[], &[WRITE_B, WRITE_B], 3);
    assert_eq!(queue.driver.add(&[READ_B], &[], 4).unwrap_err().kind, full(0));
    assert_eq!(queue.picture()[2], before[2]);
    queue.device.complete(one, 0).unwrap();
}

#[test]
fn driver_2_8_16_no_descriptor_is_changed_after_it_was_made_available() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    queue.driver.add(&[READ_A], &[WRITE_A], 0).unwrap();
    let _ = queue.offer(&[READ_B], &[], 1);
    let (_, after) = (queue.driver_log.take(), queue.picture());
    let _ = (queue.reap(), queue.driver.arm(), queue.driver.publish());
    let _ = queue.driver.suspend();
    queue.driver.resume();
    let _ = queue.driver.publish();
    assert_eq!(queue.picture(), after);
    assert_eq!(descriptor_stores(queue.driver_log.take()), [""; 0]);
}

#[test]
fn driver_2_8_16_a_notification_names_the_next_unavailable_descriptor() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    // next_off is in bits 16 to 30, next_wrap in bit 31.
    assert_eq!(queue.driver.notification_data(5), 0x8000_0005);
    queue.driver.add(&[READ_A], &[WRITE_A], 0).unwrap();
    assert_eq!(queue.driver.notification_data(5), 0x8000_0005, "the list is staged and not published");
    let _ = queue.driver.publish();
    assert_eq!(queue.driver.notification_data(5), 0x8002_0005);
    let _ = queue.offer(&[READ_A], &[], 1);
    assert_eq!(queue.driver.notification_data(5), 0x0000_0005);
}

#[test]
fn driver_2_8_16_a_notification_may_be_repeated() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[], 0);
    let (data, before) = (queue.driver.notification_data(0), queue.picture());
    assert_eq!(queue.driver.publish(), Notify::NotNeeded);
    assert_eq!((queue.driver.notification_data(0), queue.picture()), (data, before));
}

#[test]
fn both_2_8_13_a_new_ring_is_zeroed_and_holds_nothing() {
    // The flags mark a descriptor as available on one of the laps, or as used.
    for byte in [0x7f, 0x80, 0xff] {
        let mut page = Page::filled(byte);
        let mut queue = Queue::new(&mut page, 2, PACKED);
        assert_eq!([8, 24].map(|meta| queue.fields(meta, &[4, 2, 2])), ["00000000 0000 0000"; 2]);
        assert_eq!(queue.device.pop(&mut []), Ok(None));
        assert_eq!(queue.reap(), None);
    }
}

#[test]
fn driver_2_8_a_buffer_id_that_is_not_in_flight_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    let _ = queue.offer(&[READ_A], &[], 0);
    queue.poke(0, "0010000000000000 00000000 0100 8080");
    assert_eq!(queue.device_violation(), Violation::NotInFlight { id: 1 });
}

#[test]
fn device_2_8_a_buffer_id_that_is_in_flight_or_too_large_is_a_violation() {
    for (id, violation) in
        [("0000", Violation::AlreadyInFlight { id: 0 }), ("0200", Violation::BufferId { id: 2, size: 2 })]
    {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, PACKED);
        let _ = queue.offer(&[READ_A], &[], 0);
        let _ = queue.token();
        queue.poke(16, &format!("0010000000000000 10000000 {id} 8000"));
        assert_eq!(queue.driver_violation(), violation);
    }
}
