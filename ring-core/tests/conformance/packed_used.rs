//! The content of used descriptors: VIRTIO 1.4, 2.8.3 "Write Flag", 2.8.4 "Element Address and
//! Length", 2.8.8 "In-order use of descriptors" and 2.8.9 "Multi-buffer requests".

use ring_core::CompleteError;
use support::{IN_ORDER, PACKED};

use crate::rig::{Page, Queue, READ_A, READ_B, WRITE_A, WRITE_B};

#[test]
fn driver_2_8_3_the_write_flag_marks_writable_descriptors() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    let _ = queue.offer(&[READ_A], &[], 0);
    let _ = queue.offer(&[], &[WRITE_A], 1);
    assert_eq!(
        queue.picture()[..2],
        ["0010000000000000 10000000 0000 8000", "0030000000000000 30000000 0100 8200"]
    );
}

#[test]
fn device_2_8_3_the_write_flag_is_set_if_bytes_were_written() {
    for (written, used) in [(0, "00000000 0000 8080"), (1, "01000000 0000 8280")] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 2, PACKED);
        let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
        let _ = queue.use_next(written);
        assert_eq!(queue.picture()[0], format!("0010000000000000 {used}"));
    }
}

#[test]
fn device_2_8_4_a_length_over_what_is_writable_is_refused() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
    let token = queue.token();
    let Err(CompleteError::TooManyBytes { token, written: 0x31 }) = queue.device.complete(token, 0x31) else {
        panic!("49 bytes fit into 48")
    };
    queue.device.complete(token, 0x30).unwrap();
    let _ = queue.device.publish();
    assert_eq!(queue.picture()[0], "0010000000000000 30000000 0000 8280");
}

#[test]
fn driver_2_8_4_the_address_of_a_used_descriptor_is_ignored() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 2, PACKED);
    let _ = queue.offer(&[], &[WRITE_A], 7);
    queue.poke(0, "ffffffffffffffff 05000000 0000 8280");
    drop(queue.driver_log.take());
    assert_eq!(queue.reap(), Some((7, 5)));
    let mut log = queue.driver_log.take();
    log.retain(|line| line.starts_with("descriptor"));
    assert_eq!(log, ["descriptor+8 load u64 Acquire"]);
}

/// The length counts up to the number of writable bytes of the buffer.
#[test]
fn driver_2_8_4_the_length_counts_without_the_write_flag() {
    for flags in ["8080", "8280"] {
        for (len, written) in [("00000000", 0), ("05000000", 5), ("31000000", 0x30), ("ffffffff", 0x30)] {
            let mut page = Page::default();
            let mut queue = Queue::new(&mut page, 2, PACKED);
            let _ = queue.offer(&[], &[WRITE_A], 7);
            queue.poke(0, &format!("0030000000000000 {len} 0000 {flags}"));
            assert_eq!(queue.reap(), Some((7, written)));
        }
    }
}

#[test]
fn device_2_8_8_a_batch_is_one_used_descriptor_and_skips_the_batch() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, PACKED.union(IN_ORDER));
    let _ = queue.offer(&[READ_A, READ_B], &[], 0);
    let _ = queue.offer(&[], &[WRITE_B], 1);
    for (token, written) in [queue.token(), queue.token()].into_iter().zip([0, 0x40]) {
        queue.device.complete(token, written).unwrap();
    }
    let _ = queue.device.publish();
    let _ = queue.offer(&[], &[WRITE_A], 2);
    let _ = queue.use_next(1);
    assert_eq!(
        queue.picture()[..4],
        [
            // The descriptor of the batch's last buffer is in the slot of the first buffer.
            "0010000000000000 40000000 0100 8280",
            "0020000000000000 20000000 0000 8000",
            "0040000000000000 40000000 0100 8200",
            "0030000000000000 01000000 0200 8280",
        ]
    );
}

#[test]
fn driver_2_8_8_skipped_buffers_count_as_used_completely() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 4, PACKED.union(IN_ORDER));
    let _ = queue.offer(&[], &[WRITE_A], 0);
    let _ = queue.offer(&[READ_A], &[WRITE_B], 1);
    let _ = queue.offer(&[], &[WRITE_B], 2);
    queue.poke(0, "0030000000000000 05000000 0200 8280");
    assert_eq!([0; 4].map(|_| queue.reap()), [Some((0, 0x30)), Some((1, 0x40)), Some((2, 5)), None]);
}

#[test]
fn device_2_8_9_the_first_buffer_of_a_request_is_marked_used_last() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    for cookie in 0..3 {
        let _ = queue.offer(&[], &[WRITE_A], cookie);
    }
    let before = queue.picture();
    for token in [queue.token(), queue.token(), queue.token()] {
        queue.device.complete(token, 0x30).unwrap();
        assert_eq!(queue.picture()[0], before[0]);
        assert_eq!(queue.reap(), None, "a part of the request is visible");
    }
    let _ = queue.device.publish();
    assert_eq!([0; 3].map(|_| queue.reap()), [Some((0, 0x30)), Some((1, 0x30)), Some((2, 0x30))]);
}
