//! Stopping, moving and going on.

use ring_core::memory::RawMemory;
use ring_core::{Arm, Chain, Notify, Position, Segment, SetupError};

use crate::peer::{FORMATS, ends, get16, put16};
use crate::support::{
    BUFFERS, DESCRIPTORS, DEVICE, DRIVER, DeviceEnd, DriverEnd, EVENT_IDX, IN_ORDER, PACKED, SPLIT, ZEROED,
    device_end, reset_device, reset_driver, setup,
};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Buffers there and back.
fn transfer(driver: &mut DriverEnd<RawMemory<'_>, u32>, device: &mut DeviceEnd<RawMemory<'_>>, count: u32) {
    for cookie in 0..count {
        driver.add(&[BYTE], &[], cookie).unwrap();
        let _ = driver.publish();
        let token = device.pop(&mut [Segment::default()]).unwrap().map(Chain::into_token).unwrap();
        device.complete(token, 0).unwrap();
        let _ = device.publish();
        assert_eq!(driver.reap().unwrap().unwrap().cookie, cookie);
    }
}

/// vhost #154, #157, #161, virtiofsd #110: `GET_VRING_BASE` reset the queue, and so answered 0.
/// `set_vring_base(base as u16)` in the same place drops a packed queue's used half.
#[test]
fn a_base_is_where_the_queue_stands_and_another_device_goes_on_there() {
    for (format, base) in [(SPLIT, 6), (PACKED, 0x0002_0002)] {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let setup = setup(4, format);
        let (mut driver, mut device) = ends(&memory, &setup);
        transfer(&mut driver, &mut device, 6);
        let _ = device.suspend();
        assert_eq!((device.vring_base(), device.vring_base()), (base, base));
        let mut other = device_end(memory.clone(), &setup);
        other.resume(other.position_of(base)).unwrap();
        transfer(&mut driver, &mut other, 6);
    }
}

/// vhost #180: a split base lacks the used index, which the device that ran before left in memory.
#[test]
fn the_used_half_of_a_split_base_is_read_from_the_device_area() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let device = device_end(memory.clone(), &setup(4, SPLIT));
    put16(&memory, DEVICE + 2, 7);
    assert_eq!(device.position_of(9), Position { available: 9, used: 7 });
}

/// DPDK's packed base has the available half only, of a queue with nothing in flight. Its first one, 0x8000, could be
/// mistaken for a position that exists: one with the whole ring in flight, where no driver looks for used buffers.
#[test]
fn half_a_packed_base_stands_for_a_queue_at_rest() {
    for count in 0..10 {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let setup = setup(4, PACKED);
        let (mut driver, mut device) = ends(&memory, &setup);
        transfer(&mut driver, &mut device, count);
        let (position, _) = device.suspend();
        assert_eq!(position, Position::quiescent(position.available));
        let mut other = device_end(memory.clone(), &setup);
        other.resume(other.position_of(position.available.into())).unwrap();
        transfer(&mut driver, &mut other, 6);
    }
}

/// The used half is 0 on every second lap of the ring, also where the other half tells another story.
#[test]
fn a_device_that_holds_chains_finds_its_own_base() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let (mut driver, mut device) = ends(&memory, &setup(4, PACKED));
    transfer(&mut driver, &mut device, 4);
    driver.add(&[BYTE], &[], 7).unwrap();
    let _ = driver.publish();
    let token = device.pop(&mut [Segment::default()]).unwrap().map(Chain::into_token).unwrap();
    let _ = device.suspend();
    assert_eq!(device.vring_base(), 0x0000_0001);
    device.resume(device.position_of(1)).unwrap();
    device.complete(token, 0).unwrap();
    let _ = device.publish();
    assert_eq!(driver.reap().unwrap().unwrap().cookie, 7);
}

/// A base comes from a front-end, and after a migration from another machine.
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
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_end(memory, &setup(4, format));
        let refused = device.resume(Position { available, used });
        assert_eq!(refused, Err(SetupError::Position { available, used, size: 4 }), "{format:?}");
    }
}

/// cloud-hypervisor #1120, #7964: after a reset a queue went on where it had stood, or where memory said.
#[test]
fn a_reset_queue_begins_at_the_beginning() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let setup = setup(4, format);
        let (mut driver, mut device) = ends(&memory, &setup);
        transfer(&mut driver, &mut device, 7);
        driver.add(&[BYTE], &[], 8).unwrap();
        driver.publish_silently();
        reset_device(&mut device, &memory, &setup);
        assert_eq!(reset_driver(&mut driver, &memory, &setup), [8]);
        let start = if format == SPLIT { Position::SPLIT_START } else { Position::PACKED_START };
        assert_eq!((device.position(), driver.position()), (start, start));
        transfer(&mut driver, &mut device, 7);
    }
}

/// Firecracker #5958: a driver that published before the restore has long made up its mind about notifying.
#[test]
fn a_device_that_goes_on_finds_what_was_published_meanwhile() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let (mut driver, mut device) = ends(&memory, &setup(4, features));
        transfer(&mut driver, &mut device, 3);
        let (position, _) = device.suspend();
        driver.add(&[BYTE], &[], 0).unwrap();
        driver.publish_silently();
        device.resume(position).unwrap();
        assert_eq!(device.arm(), Arm::Pending);
        assert!(device.pop(&mut [Segment::default()]).unwrap().is_some());
    }
}

/// crosvm 078ef31b7, DPDK and QEMU `signalled_used_valid`: no one knows what was announced before.
#[test]
fn the_first_publish_after_a_resume_notifies() {
    for features in FORMATS.map(|format| format | EVENT_IDX) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let (mut driver, mut device) = ends(&memory, &setup(4, features));
        transfer(&mut driver, &mut device, 3);
        let (position, _) = device.suspend();
        let _ = driver.suspend();
        device.resume(position).unwrap();
        driver.resume();
        assert_eq!((device.publish(), driver.publish()), (Notify::Needed, Notify::Needed));
        assert_eq!((device.publish(), driver.publish()), (Notify::NotNeeded, Notify::NotNeeded));
    }
}

/// Found by the model: in the middle of an in-order batch a packed driver was told to sleep, and either driver
/// forgot the rest of the batch when it was suspended.
#[test]
fn the_rest_of_an_in_order_batch_is_never_forgotten() {
    for features in FORMATS.map(|format| format | IN_ORDER) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let (mut driver, mut device) = ends(&memory, &setup(4, features));
        (0..3).for_each(|cookie| driver.add(&[BYTE], &[], cookie).unwrap());
        driver.publish_silently();
        for _ in 0..3 {
            let token = device.pop(&mut [Segment::default()]).unwrap().map(Chain::into_token).unwrap();
            device.complete(token, 0).unwrap();
        }
        device.publish_silently();
        for cookie in 0..3 {
            assert_eq!(driver.arm(), Arm::Pending);
            let _ = driver.suspend();
            driver.resume();
            assert_eq!(driver.reap().unwrap().unwrap().cookie, cookie);
        }
        assert_eq!(driver.arm(), Arm::Armed);
    }
}

/// A notification that was asked for before the suspend is still wanted after it.
#[test]
fn a_suspended_device_leaves_its_wish_standing() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let (mut driver, mut device) = ends(&memory, &setup(4, SPLIT));
    transfer(&mut driver, &mut device, 1);
    assert_eq!(device.arm(), Arm::Armed);
    let _ = device.suspend();
    assert_eq!(get16(&memory, DEVICE), 0);
    driver.add(&[BYTE], &[], 0).unwrap();
    assert_eq!(driver.publish(), Notify::Needed);
    assert_eq!(get16(&memory, DRIVER + 2), 2);
}
