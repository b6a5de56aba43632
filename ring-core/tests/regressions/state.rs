//! Queues that stop, move to another device, and continue.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Arm, Features, Notify, PopError, Position, Segment, SetupError, Violation};
use support::{
    BUFFERS, DESCRIPTORS, DEVICE, DRIVER, EVENT_IDX, FORMATS, IN_ORDER, PACKED, Pair, SPLIT, ZEROED,
    device_queue, reset_device, reset_driver, setup, start,
};

use crate::peer::{get16, put16};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Returns both ends of a queue of four through which `count` buffers have passed.
fn used<'m>(memory: &RawMemory<'m>, features: Features, count: u32) -> Pair<RawMemory<'m>> {
    let mut pair = Pair::new(memory, &setup(4, features));
    (0..count).for_each(|cookie| pair.transfer(cookie));
    pair
}

/// vhost #154, #157, #161, virtiofsd #110: `GET_VRING_BASE` reset the queue, and therefore returned
/// 0. `set_vring_base(base as u16)` in vhost drops the used half of a packed base.
#[test]
fn a_base_is_the_position_at_which_another_device_continues() {
    for (format, base) in [(SPLIT, 6), (PACKED, 0x0002_0002)] {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = used(&memory, format, 6);
        let _ = pair.device.suspend();
        assert_eq!((pair.device.vring_base(), pair.device.vring_base()), (base, base));
        pair.device = device_queue(memory, &setup(4, format));
        pair.device.resume(pair.device.position_of(base)).unwrap();
        (0..6).for_each(|cookie| pair.transfer(cookie));
    }
}

/// vhost #180: a split base lacks the used index. The previous device left the used index in
/// memory.
#[test]
fn the_used_half_of_a_split_base_is_read_from_the_device_area() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let device = device_queue(memory.clone(), &setup(4, SPLIT));
    put16(&memory, DEVICE + 2, 7);
    assert_eq!(device.position_of(9), Position { available: 9, used: 7 });
}

/// DPDK's packed base has only the available half of a queue with nothing in flight. The first of
/// these bases, 0x8000, could also stand for a position with the whole ring in flight.
#[test]
fn half_a_packed_base_stands_for_a_queue_at_rest() {
    for count in 0..10 {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = used(&memory, PACKED, count);
        let (position, _) = pair.device.suspend();
        assert_eq!(position, Position::quiescent(position.available));
        pair.device = device_queue(memory, &setup(4, PACKED));
        pair.device.resume(pair.device.position_of(position.available.into())).unwrap();
        (0..6).for_each(|cookie| pair.transfer(cookie));
    }
}

/// The used half is 0 on every second lap of the ring, also when the queue is not at rest.
#[test]
fn a_device_that_holds_chains_recognises_its_own_base() {
    let mut words = ZEROED;
    let mut pair = used(&RawMemory::from_mut(&mut words, DESCRIPTORS), PACKED, 4);
    let _ = pair.offer(&[BYTE], &[], 7);
    let token = pair.take();
    let _ = pair.device.suspend();
    assert_eq!(pair.device.vring_base(), 0x0000_0001);
    pair.device.resume(pair.device.position_of(1)).unwrap();
    let _ = pair.finish(token, 0);
    assert_eq!(pair.reap(), Some((7, 0)));
}

/// A base comes from a front-end and, after a migration, from another machine.
#[test]
fn a_position_that_does_not_exist_is_refused() {
    let cases = [
        (SPLIT, 5, 0),
        (SPLIT, 0, 1),
        (PACKED, 0x8004, 0x8000),
        (PACKED, 0x8000, 0x0004),
        (PACKED, 0x8000, 0x8001),
        (PACKED, 0x0001, 0x8000),
    ];
    for (format, available, used) in cases {
        let mut words = ZEROED;
        let mut device = device_queue(RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, format));
        let refused = device.resume(Position { available, used });
        assert_eq!(refused, Err(SetupError::Position { available, used, size: 4 }), "{format:?}");
    }
}

/// cloud-hypervisor #1120, #7964: after a reset, a queue continued at its old position, or at a
/// position from memory.
#[test]
fn a_reset_queue_starts_at_the_first_position() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = used(&memory, format, 7);
        let _ = pair.offer(&[BYTE], &[], 8);
        reset_device(&mut pair.device, &memory, &setup(4, format));
        assert_eq!(reset_driver(&mut pair.driver, &memory, &setup(4, format)), [8]);
        assert_eq!((pair.device.position(), pair.driver.position()), (start(format), start(format)));
        (0..7).for_each(|cookie| pair.transfer(cookie));
    }
}

/// Firecracker #5958: a driver that published before the restore has already decided not to notify.
#[test]
fn a_resumed_device_finds_what_was_published_meanwhile() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let mut pair = used(&RawMemory::from_mut(&mut words, DESCRIPTORS), features, 3);
        let (position, _) = pair.device.suspend();
        pair.driver.add(&[BYTE], &[], 0).unwrap();
        pair.driver.publish_silently();
        pair.device.resume(position).unwrap();
        assert_eq!(pair.device.arm(), Arm::Pending);
        assert!(pair.device.pop(&mut [Segment::default()]).unwrap().is_some());
    }
}

/// The buffers that another device has left in flight count: the driver cannot have reused their
/// descriptors.
#[test]
fn buffers_in_flight_at_a_resume_take_up_their_descriptors() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = used(&memory, format, 0);
        for cookie in 0..4 {
            let _ = pair.offer(&[BYTE], &[], cookie);
        }
        let _lost = [pair.take(), pair.take()];
        let (position, _) = pair.device.suspend();
        pair.device = device_queue(memory.clone(), &setup(4, format));
        pair.device.resume(position).unwrap();
        let _held = [pair.take(), pair.take()];
        // The driver makes a fifth buffer available in a queue of four, although no buffer was
        // returned to it.
        if format == PACKED {
            memory.write_bytes(DESCRIPTORS + 8, &[1, 0, 0, 0, 0, 0, 0, 0x80]).unwrap();
        } else {
            put16(&memory, DRIVER + 2, 5);
        }
        let violation = Violation::TooManyInFlight { count: 5, size: 4 };
        assert_eq!(pair.device.pop(&mut [Segment::default()]), Err(PopError::Violation(violation)));
    }
}

/// crosvm 078ef31b7, DPDK and QEMU `signalled_used_valid`: a resumed end does not know what was
/// announced before.
#[test]
fn the_first_publish_after_a_resume_notifies() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let mut pair = used(&RawMemory::from_mut(&mut words, DESCRIPTORS), features, 3);
        let (position, _) = pair.device.suspend();
        let _ = pair.driver.suspend();
        pair.device.resume(position).unwrap();
        pair.driver.resume();
        for expected in [Notify::Needed, Notify::NotNeeded] {
            assert_eq!((pair.device.publish(), pair.driver.publish()), (expected, expected));
        }
    }
}

/// Found by the model: in the middle of an in-order batch, `arm` told a packed driver that it may
/// sleep, and the driver ends of both formats lost the rest of the batch when they were suspended.
#[test]
fn a_suspended_driver_keeps_the_rest_of_an_in_order_batch() {
    for features in FORMATS.map(|format| format | IN_ORDER) {
        let mut words = ZEROED;
        let mut pair = used(&RawMemory::from_mut(&mut words, DESCRIPTORS), features, 0);
        for cookie in 0..3 {
            let _ = pair.offer(&[BYTE], &[], cookie);
            let token = pair.take();
            pair.device.complete(token, 0).unwrap();
        }
        pair.device.publish_silently();
        for cookie in 0..3 {
            assert_eq!(pair.driver.arm(), Arm::Pending);
            let _ = pair.driver.suspend();
            pair.driver.resume();
            assert_eq!(pair.reap(), Some((cookie, 0)));
        }
        assert_eq!(pair.driver.arm(), Arm::Armed);
    }
}

/// A device that armed before the suspend still needs the notification after it.
#[test]
fn a_suspended_device_does_not_withdraw_its_request_to_notify() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut pair = used(&memory, SPLIT, 1);
    assert_eq!(pair.device.arm(), Arm::Armed);
    let _ = pair.device.suspend();
    assert_eq!(get16(&memory, DEVICE), 0);
    assert_eq!(pair.offer(&[BYTE], &[], 0), Notify::Needed);
    assert_eq!(get16(&memory, DRIVER + 2), 2);
}
