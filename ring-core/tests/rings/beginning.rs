//! Driver ends that begin at the position at which another queue was left.

use ring_core::memory::RawMemory;
use ring_core::{Notify, Position, Segment, SetupError};
use support::{BUFFERS, DESCRIPTORS, PACKED, Pair, SUPPRESSION, ZEROED, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Returns the position at which nothing is in flight.
const fn at(bits: u16) -> Position {
    Position { available: bits, used: bits }
}

/// Without `begin_at`, a device mistook the ring for the ring of a driver that had been reset.
#[test]
fn a_device_that_resumes_finds_each_buffer_of_a_driver_that_begins_there() {
    for features in SUPPRESSION {
        let positions: &[u16] = if features.contains(PACKED) {
            &[0x8000, 0x8002, 0x8003, 0, 1, 3]
        } else {
            &[0, 1, 5, 0x7fff, 0xfffe, 0xffff]
        };
        for &bits in positions {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut pair = Pair::new(&memory, &setup(4, features));
            pair.driver.begin_at(at(bits)).unwrap();
            pair.device.resume(at(bits)).unwrap();
            assert!(!pair.device.pending() && !pair.driver.pending());
            for cookie in 0..20 {
                assert_eq!(pair.driver.arm(), ring_core::Arm::Armed);
                assert_eq!(pair.device.arm(), ring_core::Arm::Armed);
                assert_eq!(pair.offer(&[BYTE], &[], cookie), Notify::Needed, "{features:?} {bits:#x}");
                let token = pair.take();
                assert_eq!(pair.finish(token, 0), Notify::Needed);
                assert_eq!(pair.reap(), Some((cookie, 0)));
            }
        }
    }
}

/// Each end notifies of the first buffer, although neither side has armed the queue.
#[test]
fn a_driver_that_begins_elsewhere_notifies_and_is_notified_at_first() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        pair.driver.begin_at(at(1)).unwrap();
        pair.device.resume(at(1)).unwrap();
        assert_eq!(pair.offer(&[BYTE], &[], 1), Notify::Needed);
        let token = pair.take();
        assert_eq!(pair.finish(token, 0), Notify::Needed);
    }
}

#[test]
fn a_driver_with_buffers_or_to_no_position_does_not_begin() {
    for features in SUPPRESSION {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let apart = Position { available: 2, used: 1 };
        let refused = SetupError::Position { available: 2, used: 1, size: 4 };
        assert_eq!(pair.driver.begin_at(apart), Err(refused));
        if features.contains(PACKED) {
            let refused = SetupError::Position { available: 4, used: 4, size: 4 };
            assert_eq!(pair.driver.begin_at(at(4)), Err(refused));
        }
        pair.driver.add(&[BYTE], &[], 0).unwrap();
        assert_eq!(pair.driver.begin_at(at(1)), Err(SetupError::InFlight { descriptors: 1 }));
        let _ = pair.driver.publish();
        let token = pair.take();
        let _ = pair.finish(token, 0);
        assert_eq!(pair.reap(), Some((0, 0)));
    }
}
