//! VIRTIO 1.4, 2.7.5.3 "Indirect Descriptors".

use ring_core::error::AddErrorKind;
use ring_core::{Segment, Violation};
use support::{IN_ORDER, INDIRECT, SPLIT};

use crate::rig::{NO_DESCRIPTOR, Page, Queue, READ_A, READ_B, SPARE, WRITE_A, WRITE_B};

/// Room for eight descriptors.
const TABLE: Segment = Segment::new(SPARE, 128);

/// Returns a descriptor of the ring that refers to a table at [`SPARE`]. `len` has two digits.
fn refers(len: &str, flags: &str) -> String {
    format!("8000000000000000 {len}000000 {flags} 0100")
}

#[test]
fn driver_2_7_5_3_1_a_table_is_refused_unless_the_feature_was_negotiated() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    let error = queue.driver.add_indirect(TABLE, &[READ_A], &[], 3).unwrap_err();
    assert_eq!((error.kind, error.cookie), (AddErrorKind::IndirectNotNegotiated, 3));
    assert!(!queue.driver.publish().is_needed());
    assert_eq!(queue.driver_log.take(), [""; 0]);
}

#[test]
fn device_2_7_5_3_1_a_table_that_was_not_negotiated_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, SPLIT);
    queue.expose(&[&refers("10", "0400")]);
    assert_eq!(queue.driver_violation(), Violation::IndirectNotNegotiated);
}

#[test]
fn driver_2_7_5_3_1_a_table_is_referred_to_once_and_refers_to_none() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, INDIRECT);
    queue.driver.add_indirect(TABLE, &[READ_A], &[WRITE_A, WRITE_B], 0).unwrap();
    let _ = queue.driver.publish();
    let table = [
        "0010000000000000 10000000 0100 0100",
        "0030000000000000 30000000 0300 0200",
        "0040000000000000 40000000 0200 0000",
        NO_DESCRIPTOR,
    ];
    assert_eq!(queue.table(SPARE, 4), table);
    assert_eq!(
        queue.picture(),
        [
            "8000000000000000 30000000 0400 0000",
            NO_DESCRIPTOR,
            NO_DESCRIPTOR,
            NO_DESCRIPTOR,
            "0000 0100 0000 0000 0000 0000 0000",
            "0000 0000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 0000",
        ]
    );
}

#[test]
fn device_2_7_5_3_1_a_table_in_a_table_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, INDIRECT);
    queue.expose(&[&refers("20", "0400")]);
    queue.poke_table(SPARE, &["0010000000000000 10000000 0100 0100", &refers("10", "0400")]);
    assert_eq!(queue.driver_violation(), Violation::IndirectNested);
}

#[test]
fn driver_2_7_5_3_1_a_buffer_longer_than_the_queue_is_refused() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, INDIRECT);
    let reason = AddErrorKind::TooLong { segments: 3, size: 2 };
    let (readable, writable) = ([READ_A, READ_B], [WRITE_A]);
    assert_eq!(queue.driver.add(&readable, &writable, 0).unwrap_err().kind, reason);
    assert_eq!(queue.driver.add_indirect(TABLE, &readable, &writable, 0).unwrap_err().kind, reason);
    assert_eq!(queue.driver_log.take(), [""; 0]);
}

/// A link that leaves such a table is still a violation.
#[test]
fn device_2_7_5_3_1_a_table_longer_than_the_queue_is_accepted() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, INDIRECT);
    queue.expose(&[&refers("30", "0400")]);
    let table = [
        "0010000000000000 10000000 0100 0200",
        "0030000000000000 30000000 0200 0000",
        "0020000000000000 20000000 0100 0100",
    ];
    queue.poke_table(SPARE, &table);
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A, READ_B], vec![WRITE_A]));

    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, INDIRECT);
    queue.expose(&[&refers("20", "0400")]);
    queue.poke_table(SPARE, &[table[0], "0020000000000000 20000000 0100 0000"]);
    assert_eq!(queue.driver_violation(), Violation::DescriptorIndex { index: 2, size: 2 });
}

#[test]
fn device_2_7_5_3_1_a_reference_to_a_table_with_next_is_a_violation() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, INDIRECT);
    queue.expose(&[&refers("10", "0500"), "0010000000000000 10000000 0000 0000"]);
    queue.poke_table(SPARE, &["0010000000000000 10000000 0000 0000"]);
    assert_eq!(queue.driver_violation(), Violation::IndirectChained);
}

#[test]
fn driver_2_7_5_3_1_in_order_the_descriptors_of_a_table_are_consecutive() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, INDIRECT.union(IN_ORDER));
    // The descriptor that refers to the table is not the first descriptor of the ring.
    let _ = queue.offer(&[READ_A], &[], 0);
    queue.driver.add_indirect(TABLE, &[READ_A, READ_B], &[WRITE_A, WRITE_B], 1).unwrap();
    assert_eq!(
        queue.table(SPARE, 4),
        [
            "0010000000000000 10000000 0100 0100",
            "0020000000000000 20000000 0100 0200",
            "0030000000000000 30000000 0300 0300",
            "0040000000000000 40000000 0200 0000",
        ]
    );
}

#[test]
fn device_2_7_5_3_2_the_write_flag_of_a_reference_to_a_table_is_ignored() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, INDIRECT);
    queue.expose(&[&refers("20", "0600")]);
    queue.poke_table(SPARE, &["0010000000000000 10000000 0100 0100", "0030000000000000 30000000 0200 0000"]);
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A], vec![WRITE_A]));
}

#[test]
fn device_2_7_5_3_2_a_chain_may_end_with_a_reference_to_a_table() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, INDIRECT);
    queue.expose(&[
        "0010000000000000 10000000 0100 0100",
        "0020000000000000 20000000 0100 0200",
        &refers("20", "0400"),
    ]);
    queue.poke_table(SPARE, &["0030000000000000 30000000 0300 0100", "0040000000000000 40000000 0200 0000"]);
    let (readable, writable, _) = queue.take();
    assert_eq!((readable, writable), (vec![READ_A, READ_B], vec![WRITE_A, WRITE_B]));
}
