//! VIRTIO 1.4, 2.6.1 "Virtqueue Reset", and the requirements on queues in 3.3 "Device Cleanup" and
//! 3.4 "Device Suspend".

use ring_core::error::AddErrorKind;
use ring_core::{Areas, CompleteError, Notify, Setup};
use support::{EVENT_IDX, FORMATS, start};

use crate::rig::{Page, Queue, READ_A, READ_B, SPARE, WRITE_A, setup};

/// Clears the page, as a driver does when it sets up a queue.
fn zero(queue: &Queue<'_>) {
    queue.poke(0, &"00".repeat(0x100));
}

fn reset_device(queue: &mut Queue<'_>, setup: &Setup) {
    let memory = queue.device.memory().clone();
    support::reset_device(&mut queue.device, &memory, setup);
}

/// Resets the driver end. Returns the cookies of the buffers that were in flight.
fn reset_driver(queue: &mut Queue<'_>, setup: &Setup) -> Vec<u32> {
    let memory = queue.driver.memory().clone();
    support::reset_driver(&mut queue.driver, &memory, setup)
}

/// Brings both ends into the second lap of the ring, with one buffer in flight.
fn wear(queue: &mut Queue<'_>) {
    for cookie in 0..5 {
        let _ = queue.offer(&[READ_A], &[WRITE_A], cookie);
        let _ = queue.use_next(1);
        let _ = queue.reap();
    }
    let _ = queue.offer(&[READ_B], &[], 5);
}

#[test]
fn device_2_6_1_1_1_nothing_of_the_old_queue_is_executed_or_announced() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        wear(&mut queue);
        let staged = queue.token();
        queue.driver.add(&[READ_A], &[], 6).unwrap();
        let _ = queue.driver.publish();
        let late = queue.token();
        queue.device.complete(staged, 0).unwrap();

        zero(&queue);
        reset_device(&mut queue, &setup(4, features));
        assert_eq!(queue.device.complete(late, 0), Err(CompleteError::Stale));
        assert_eq!(queue.device.publish(), Notify::NotNeeded);
        assert_eq!(queue.device.pop(&mut []), Ok(None));
        assert_eq!(queue.picture().concat().replace(' ', "").trim_matches('0'), "");
    }
}

#[test]
fn device_2_6_1_1_1_an_old_token_is_stale_in_the_new_queue() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
        let late = queue.token();
        reset_device(&mut queue, &setup(4, features));
        let _ = reset_driver(&mut queue, &setup(4, features));
        // The buffer has the descriptors and the id of the old buffer.
        let _ = queue.offer(&[READ_A], &[WRITE_A], 1);
        let token = queue.token();
        assert_eq!(queue.device.complete(late, 1), Err(CompleteError::Stale));
        queue.device.complete(token, 2).unwrap();
        let _ = queue.device.publish();
        assert_eq!(queue.reap(), Some((1, 2)));
    }
}

#[test]
fn device_2_6_1_1_1_the_state_is_the_default_state() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        wear(&mut queue);
        assert_ne!(queue.device.position(), start(features));
        reset_device(&mut queue, &setup(4, features));
        assert_eq!(queue.device.position(), start(features));
    }
}

#[test]
fn driver_2_6_1_1_2_the_buffers_in_flight_come_back() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        wear(&mut queue);
        queue.driver.add(&[READ_A], &[], 6).unwrap();
        let mut cookies = reset_driver(&mut queue, &setup(4, features));
        cookies.sort_unstable();
        assert_eq!(cookies, [5, 6]);
        assert_eq!((queue.driver.free(), queue.driver.in_flight()), (4, 0));
    }
}

#[test]
fn device_2_6_1_2_1_a_changed_configuration_is_observed() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        wear(&mut queue);
        zero(&queue);
        let changed = Setup::new(
            2,
            features.union(EVENT_IDX),
            Areas { descriptor: SPARE, driver: SPARE + 0x40, device: SPARE + 0x60 },
        );
        reset_device(&mut queue, &changed);
        assert_eq!(reset_driver(&mut queue, &changed), [5]);
        for cookie in 0..5 {
            let _ = queue.offer(&[READ_A], &[WRITE_A], cookie);
            let _ = queue.use_next(cookie);
            assert_eq!(queue.reap(), Some((cookie, cookie)));
        }
        assert_eq!(
            queue.picture().concat().replace(' ', "").trim_matches('0'),
            "",
            "the old areas were written"
        );
    }
}

#[test]
fn driver_2_6_1_2_2_a_reset_queue_starts_like_a_new_queue() {
    for features in FORMATS {
        let (mut first, mut again) = (Page::default(), Page::default());
        let mut first = Queue::new(&mut first, 4, features);
        let mut again = Queue::new(&mut again, 4, features);
        wear(&mut again);
        zero(&again);
        reset_device(&mut again, &setup(4, features));
        let _ = reset_driver(&mut again, &setup(4, features));
        for queue in [&mut first, &mut again] {
            wear(queue);
        }
        assert_eq!(again.picture(), first.picture());
    }
}

#[test]
fn driver_3_3_1_descriptors_of_exposed_buffers_are_not_altered() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        let _ = queue.offer(&[READ_A], &[WRITE_A], 0);
        let exposed = queue.picture();
        let _ = queue.offer(&[READ_B], &[], 1);
        let _ = queue.offer(&[READ_A], &[], 2);
        queue.driver.add(&[READ_A], &[], 3).unwrap_err();
        let _ = (queue.reap(), queue.driver.arm(), queue.driver.suspend());
        assert_eq!(queue.picture()[..2], exposed[..2]);
    }
}

#[test]
fn driver_3_4_1_a_suspended_queue_offers_and_announces_nothing() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        queue.driver.add(&[READ_A], &[], 0).unwrap();
        let (_, notify) = queue.driver.suspend();
        assert!(notify.is_needed(), "a buffer was staged");
        drop(queue.driver_log.take());
        assert_eq!(queue.driver.add(&[READ_A], &[], 1).unwrap_err().kind, AddErrorKind::NotRunning);
        assert_eq!(queue.driver.publish(), Notify::NotNeeded);
        assert_eq!(queue.driver_log.take(), [""; 0]);
        queue.driver.resume();
        assert!(queue.offer(&[READ_A], &[], 1).is_needed());
    }
}

#[test]
fn device_3_4_2_a_suspended_queue_is_neither_accessed_nor_announced() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        let _ = queue.offer(&[READ_A], &[], 0);
        let _ = queue.offer(&[READ_B], &[], 1);
        let token = queue.token();
        let (position, _) = queue.device.suspend();
        drop(queue.device_log.take());
        assert_eq!(queue.device.pop(&mut []), Ok(None));
        let Err(CompleteError::Suspended(token)) = queue.device.complete(token, 0) else {
            panic!("a chain was completed in a suspended queue")
        };
        let _ = queue.device.arm();
        assert_eq!(queue.device.publish(), Notify::NotNeeded);
        assert_eq!(queue.device_log.take(), [""; 0]);
        queue.device.resume(position).unwrap();
        queue.device.complete(token, 0).unwrap();
        assert_eq!(queue.device.publish(), Notify::Needed);
    }
}

#[test]
fn device_3_4_2_completed_buffers_are_announced_before_a_suspend() {
    for features in FORMATS {
        let mut page = Page::default();
        let mut queue = Queue::new(&mut page, 4, features);
        let _ = queue.offer(&[READ_A], &[], 7);
        let token = queue.token();
        queue.device.complete(token, 0).unwrap();
        assert_eq!(queue.device.suspend().1, Notify::Needed);
        assert_eq!(queue.reap(), Some((7, 0)));
    }
}
