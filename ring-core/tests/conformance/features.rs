//! The parts of VIRTIO 1.4, 2.9 "Driver Notifications" and 6 "Reserved Feature Bits" that concern
//! the rings.

use std::cell::RefCell;

use ring_core::memory::{AlignedWord, Barriers, RawMemory};
use ring_core::{DeviceQueue, DriverQueue, Features, Segment, device, driver};
use support::{Anywhere, IN_ORDER, PACKED, SPLIT};

use crate::rig::{Page, Queue, READ_A, WRITE_A, setup};

#[test]
fn driver_2_9_a_split_queue_is_notified_with_its_available_index() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 1, SPLIT);
    for index in 0..=0x1_0001u32 {
        // next_off in bits 16 to 30 and next_wrap in bit 31 make up the index.
        assert_eq!(queue.driver.notification_data(0xabcd), index << 16 | 0xabcd);
        let _ = queue.offer(&[READ_A], &[], 0);
        let _ = queue.use_next(0);
        let _ = queue.reap();
        drop((queue.driver_log.take(), queue.device_log.take()));
    }
}

#[test]
fn driver_2_9_a_packed_queue_is_notified_with_its_next_descriptor() {
    let mut page = Page::default();
    let mut queue = Queue::new(&mut page, 3, PACKED);
    for data in [0x8000_abcd, 0x8002_abcd, 0x0001_abcd, 0x8000_abcd, 0x8002_abcd] {
        assert_eq!(queue.driver.notification_data(0xabcd), data);
        let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
        let _ = queue.use_next(0);
        let _ = queue.reap();
    }
}

#[test]
fn driver_2_9_notifications_without_new_buffers_are_identical() {
    for features in [SPLIT, PACKED] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        let _ = queue.offer(&[READ_A], &[], 0);
        let data = queue.driver.notification_data(3);
        queue.driver.add(&[READ_A], &[], 1).unwrap();
        let _ = (queue.reap(), queue.driver.arm());
        assert_eq!(queue.driver.notification_data(3), data);
    }
}

#[test]
fn both_6_feature_bits_have_their_numbers() {
    for (bit, feature) in [
        (28, Features::INDIRECT_DESC),
        (29, Features::EVENT_IDX),
        (32, Features::VERSION_1),
        (33, Features::ACCESS_PLATFORM),
        (34, Features::RING_PACKED),
        (35, Features::IN_ORDER),
        (36, Features::ORDER_PLATFORM),
        (38, Features::NOTIFICATION_DATA),
        (39, Features::NOTIF_CONFIG_DATA),
        (40, Features::RING_RESET),
    ] {
        assert_eq!(feature.bits(), 1u64 << bit);
    }
}

thread_local! {
    /// The barriers that the ends of the queue on this thread have used.
    static BARRIERS: RefCell<Vec<&'static str>> = const { RefCell::new(vec![]) };
}

/// A platform that records its barriers.
#[derive(Clone, Copy, Debug)]
struct Recorded;

impl Barriers for Recorded {
    fn acquire(self) {
        BARRIERS.with_borrow_mut(|barriers| barriers.push("acquire"));
    }

    fn release(self) {
        BARRIERS.with_borrow_mut(|barriers| barriers.push("release"));
    }

    fn full(self) {
        BARRIERS.with_borrow_mut(|barriers| barriers.push("full"));
    }
}

#[test]
fn both_6_1_each_ordering_uses_the_barriers_of_the_platform() {
    for features in [SPLIT, PACKED] {
        let mut words = [AlignedWord::ZERO; 32];
        let memory = Anywhere(RawMemory::from_mut(&mut words, 0).with_barriers(Recorded));
        let setup = setup(2, features.union(Features::ORDER_PLATFORM));
        let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 2]).unwrap();
        let mut device = DeviceQueue::new(memory, &setup, [device::Slot::default(); 2]).unwrap();
        let used = || BARRIERS.take();

        driver.add(&[READ_A], &[], ()).unwrap();
        assert_eq!(used(), [""; 0]);
        let _ = driver.publish();
        assert_eq!(used(), ["release", "full"]);
        let mut segments = [Segment::default()];
        let token = device.pop(&mut segments).unwrap().unwrap().into_token();
        assert_eq!(used(), ["acquire"]);
        device.complete(token, 0).unwrap();
        let _ = device.publish();
        assert_eq!(used(), ["release", "full"]);
        assert!(driver.reap().unwrap().is_some());
        assert_eq!(used(), ["acquire"]);
        let _ = (driver.arm(), device.arm());
        assert_eq!(used(), ["full", "full"]);
    }
}

#[test]
fn device_6_2_in_order_buffers_are_returned_in_order() {
    for features in [IN_ORDER, PACKED.union(IN_ORDER)] {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        for cookie in 0..3 {
            let _ = queue.offer(&[], &[WRITE_A], cookie);
        }
        let tokens = [queue.token(), queue.token(), queue.token()];
        let mut back = vec![];
        for (token, written) in tokens.into_iter().zip([1, 2, 3]).rev() {
            queue.device.complete(token, written).unwrap();
            let _ = queue.device.publish();
            back.push(std::iter::from_fn(|| queue.reap()).collect::<Vec<_>>());
        }
        assert_eq!(back, [vec![], vec![], vec![(0, 1), (1, 2), (2, 3)]]);
    }
}
