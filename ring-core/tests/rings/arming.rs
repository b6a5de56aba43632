//! When an end is notified, and what it is told before it sleeps.

use ring_core::memory::RawMemory;
use ring_core::{Arm, Segment};
use support::{BUFFERS, DESCRIPTORS, Pair, SUPPRESSION, ZEROED, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// A device that slept with staged chains, or a driver with staged buffers, was never woken.
#[test]
fn an_end_with_staged_buffers_is_not_armed() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        pair.driver.add(&[BYTE], &[], 0).unwrap();
        assert_eq!(pair.driver.arm(), Arm::Unpublished);
        pair.driver.publish_silently();
        assert_eq!(pair.driver.arm(), Arm::Armed);

        let token = pair.take();
        pair.device.complete(token, 0).unwrap();
        assert_eq!(pair.device.arm(), Arm::Unpublished);
        pair.device.publish_silently();
        assert_eq!(pair.device.arm(), Arm::Armed);
    }
}

/// A loop that sleeps when the queue is armed slept for ever on a queue that had been broken.
#[test]
fn an_end_that_does_not_run_is_not_armed() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let _ = (pair.driver.suspend(), pair.device.suspend());
        assert_eq!((pair.driver.arm(), pair.device.arm()), (Arm::Stopped, Arm::Stopped));
        pair.driver.resume();
        pair.device.resume(pair.device.position()).unwrap();
        assert_eq!((pair.driver.arm(), pair.device.arm()), (Arm::Armed, Arm::Armed));
    }
}
