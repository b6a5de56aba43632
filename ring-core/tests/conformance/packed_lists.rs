//! VIRTIO 1.4, 2.8.5 "Scatter-Gather Support", 2.8.6 "Next Flag: Descriptor Chaining" and 2.8.7
//! "Indirect Flag: Scatter-Gather Support", with the requirements in 2.8.17 "Driver Requirements:
//! Scatter-Gather Support", 2.8.18 "Device Requirements: Scatter-Gather Support" and 2.8.19 "Driver
//! Requirements: Indirect Descriptors".

use ring_core::error::AddErrorKind;
use ring_core::{Segment, Violation};
use support::{INDIRECT, PACKED};

use crate::rig::{NO_DESCRIPTOR, NO_EVENT, Page, Queue, READ_A, READ_B, SPARE, WRITE_A, WRITE_B};
use crate::split_buffers::a_chain_over_the_device_limit_can_be_returned_unused;

/// Room for eight descriptors.
const TABLE: Segment = Segment::new(SPARE, 128);

/// Returns a descriptor of the ring that refers to a table at [`SPARE`]. `len` has two digits.
fn refers(len: &str, flags: &str) -> String {
    format!("8000000000000000 {len}000000 0000 {flags}")
}

#[test]
fn both_2_8_5_lists_of_both_kinds_share_a_ring() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED.union(INDIRECT));
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    queue.driver.add_indirect(TABLE, &[READ_A, READ_B], &[WRITE_B], 1).unwrap();
    let _ = queue.driver.publish();
    assert_eq!(
        queue.picture()[..3],
        [
            "0010000000000000 10000000 0000 8100",
            "0030000000000000 30000000 0000 8200",
            "8000000000000000 30000000 0100 8400",
        ]
    );
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A], vec![WRITE_A]));
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A, READ_B], vec![WRITE_B]));
}

#[test]
fn driver_2_8_6_every_descriptor_of_a_list_has_all_its_flags() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, PACKED);
    let _ = queue.offer(&[READ_A, READ_B], &[WRITE_A, WRITE_B], 0);
    assert_eq!(
        queue.picture(),
        [
            "0010000000000000 10000000 0000 8100",
            "0020000000000000 20000000 0000 8100",
            "0030000000000000 30000000 0000 8300",
            "0040000000000000 40000000 0000 8200",
            NO_EVENT,
            NO_EVENT,
        ]
    );
}

#[test]
fn device_2_8_6_the_last_descriptor_of_a_list_has_its_id() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    queue.poke_table(0, &["0010000000000000 10000000 0700 8100", "0020000000000000 20000000 0200 8000"]);
    let _ = queue.use_next(0);
    assert_eq!(queue.picture()[0], "0010000000000000 00000000 0200 8080");
}

#[test]
fn device_2_8_6_one_used_descriptor_stands_for_a_list() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, PACKED);
    let _ = queue.offer(&[READ_A], &[WRITE_A, WRITE_B], 0);
    let _ = queue.offer(&[], &[WRITE_B], 1);
    let _ = queue.use_next(5);
    let _ = queue.use_next(6);
    assert_eq!(
        queue.picture(),
        [
            "0010000000000000 05000000 0000 8280",
            "0030000000000000 30000000 0000 8300",
            "0040000000000000 40000000 0000 8200",
            "0040000000000000 06000000 0100 8280",
            NO_EVENT,
            "0000 0100",
        ]
    );
    assert_eq!([queue.reap(), queue.reap()], [Some((0, 5)), Some((1, 6))]);
}

#[test]
fn driver_2_8_6_the_next_flag_of_a_used_descriptor_is_ignored() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    let _ = queue.offer(&[], &[WRITE_A], 0);
    queue.poke(0, "0030000000000000 07000000 0000 8380");
    assert_eq!(queue.reap(), Some((0, 7)));
}

#[test]
fn device_2_8_7_only_the_write_flag_counts_in_a_table() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, PACKED.union(INDIRECT));
    queue.poke_table(0, &[&refers("30", "8400")]);
    queue.poke_table(
        SPARE,
        &[
            "0010000000000000 10000000 ffff 0000",
            "0020000000000000 20000000 0700 fdff",
            "0030000000000000 30000000 0000 0300",
        ],
    );
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A, READ_B], vec![WRITE_A]));
}

#[test]
fn device_2_8_7_the_write_flag_of_a_reference_to_a_table_is_ignored() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED.union(INDIRECT));
    queue.poke_table(0, &[&refers("10", "8600")]);
    queue.poke_table(SPARE, &["0010000000000000 10000000 0000 0000"]);
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A], vec![]));
}

#[test]
fn device_2_8_7_a_table_of_a_fraction_of_descriptors_is_a_violation() {
    for (len, bytes) in [("00", 0), ("0f", 15), ("11", 17)] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, PACKED.union(INDIRECT));
        queue.poke_table(0, &[&refers(len, "8400")]);
        assert_eq!(queue.driver_violation(), Violation::IndirectLength { len: bytes });
    }
}

#[test]
fn driver_2_8_17_a_list_longer_than_the_queue_is_refused() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, PACKED);
    let error = queue.driver.add(&[READ_A], &[WRITE_A], 3).unwrap_err();
    assert_eq!((error.kind, error.cookie), (AddErrorKind::TooLong { segments: 2, size: 1 }, 3));
    assert_eq!(queue.driver_log.take(), [""; 0]);
}

#[test]
fn device_2_8_17_a_list_longer_than_the_queue_is_a_violation() {
    // The list begins in the second slot and fills the ring, so the slot after its end is the slot
    // of its beginning, on the next lap.
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    let _ = queue.offer(&[READ_A], &[], 0);
    let _ = queue.use_next(0);
    queue.poke_table(0, &["0010000000000000 10000000 0000 0180", "0010000000000000 10000000 0000 8100"]);
    assert_eq!(queue.driver_violation(), Violation::ChainLoop { size: 2 });
}

#[test]
fn driver_2_8_17_writable_segments_come_after_readable_ones() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[WRITE_A, WRITE_B], 0);
    assert_eq!(
        queue.picture()[..3],
        [
            "0010000000000000 10000000 0000 8100",
            "0030000000000000 30000000 0000 8300",
            "0040000000000000 40000000 0000 8200",
        ]
    );
}

#[test]
fn device_2_8_17_a_readable_segment_after_a_writable_one_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    queue.poke_table(0, &["0030000000000000 30000000 0000 8300", "0010000000000000 10000000 0000 8000"]);
    assert_eq!(queue.driver_violation(), Violation::ReadableAfterWritable { position: 1 });
}

#[test]
fn driver_2_8_17_a_list_is_added_whole_or_not_at_all() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[], 0);
    let before = queue.picture();
    drop(queue.driver_log.take());
    let error = queue.driver.add(&[READ_A], &[WRITE_A, WRITE_B], 1).unwrap_err();
    assert_eq!((error.kind, error.cookie), (AddErrorKind::Full { free: 2, needed: 3 }, 1));
    let _ = queue.driver.publish();
    assert_eq!((queue.driver_log.take(), queue.picture()), (vec![], before));
}

#[test]
fn driver_2_8_17_the_first_descriptor_becomes_available_last() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    queue.driver.add(&[READ_A], &[WRITE_A, WRITE_B], 0).unwrap();
    assert_eq!(
        queue.picture()[..3],
        [
            "0010000000000000 00000000 0000 0000",
            "0030000000000000 30000000 0000 8300",
            "0040000000000000 40000000 0000 8200",
        ]
    );
    assert_eq!(queue.device.pop(&mut []), Ok(None));
    queue.driver.publish_silently();
    assert_eq!(queue.picture()[0], "0010000000000000 10000000 0000 8100");
}

#[test]
fn device_2_8_18_a_list_is_followed_in_ring_order_around_the_end() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    let _ = queue.use_next(0);
    let _ = queue.reap();
    let _ = queue.offer(&[READ_A, READ_B], &[WRITE_B], 1);
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A, READ_B], vec![WRITE_B]));
}

#[test]
fn device_2_8_18_a_list_over_the_device_limit_can_be_returned_unused() {
    a_chain_over_the_device_limit_can_be_returned_unused(PACKED);
}

#[test]
fn driver_2_8_19_a_table_is_refused_unless_the_feature_was_negotiated() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    let error = queue.driver.add_indirect(TABLE, &[READ_A], &[], 3).unwrap_err();
    assert_eq!((error.kind, error.cookie), (AddErrorKind::IndirectNotNegotiated, 3));
    assert_eq!(queue.driver_log.take(), [""; 0]);
}

#[test]
fn device_2_8_19_a_table_that_was_not_negotiated_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    queue.poke_table(0, &[&refers("10", "8400")]);
    assert_eq!(queue.driver_violation(), Violation::IndirectNotNegotiated);
}

/// One descriptor of the ring refers to the table.
#[test]
fn driver_2_8_19_only_the_write_flag_is_set_in_a_table() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED.union(INDIRECT));
    queue.driver.add_indirect(TABLE, &[READ_A, READ_B], &[WRITE_A], 0).unwrap();
    let _ = queue.driver.publish();
    assert_eq!(
        queue.table(SPARE, 4),
        [
            "0010000000000000 10000000 0000 0000",
            "0020000000000000 20000000 0000 0000",
            "0030000000000000 30000000 0000 0200",
            NO_DESCRIPTOR,
        ]
    );
    let ring = ["8000000000000000 30000000 0000 8400", NO_DESCRIPTOR, NO_DESCRIPTOR, NO_EVENT, NO_EVENT];
    assert_eq!(queue.picture(), ring);
}

#[test]
fn driver_2_8_19_the_size_of_the_queue_does_not_bound_a_table() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, PACKED.union(INDIRECT));
    queue.driver.add_indirect(TABLE, &[READ_A], &[WRITE_A], 3).unwrap();
    let _ = queue.driver.publish();
    let mut segments = [Segment::default(); 2];
    let chain = queue.device.pop(&mut segments).unwrap().unwrap();
    assert_eq!((chain.readable(), chain.writable()), (&[READ_A][..], &[WRITE_A][..]));
}

#[test]
fn device_2_8_19_a_reference_to_a_table_in_a_list_is_a_violation() {
    let lists = [
        [refers("10", "8500"), "0010000000000000 10000000 0000 8000".into()],
        ["0010000000000000 10000000 0000 8100".into(), refers("10", "8400")],
    ];
    for [first, second] in lists {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, PACKED.union(INDIRECT));
        queue.poke_table(0, &[&first, &second]);
        assert_eq!(queue.driver_violation(), Violation::IndirectChained);
    }
}
