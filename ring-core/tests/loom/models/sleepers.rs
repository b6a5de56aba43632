//! Sides that go to sleep while the other side publishes.

use loom::sync::{Arc, Notify as Event};
use loom::thread;
use ring_core::{Arm, Notify, Position};
use support::{IN_ORDER, PACKED};

use crate::case::{Case, DEVICE_SLEEPS, DRIVER_SLEEPS, Device, Driver, serve, serve_until_asleep, take};

/// The device calls `prepare` and goes to sleep while the driver publishes. The device finds the
/// buffer, or is notified.
pub(super) fn device_sleeps(case: Case, prepare: fn(&mut Device)) {
    let (mut driver, mut device) = case.warm_ends();
    let peer = thread::spawn(move || {
        case.add(&mut driver, 1);
        driver.publish()
    });
    prepare(&mut device);
    let served = serve_until_asleep(&mut device);
    let notify = peer.join().unwrap();
    assert!(served == 1 || notify == Notify::Needed, "{DEVICE_SLEEPS}");
}

/// The driver calls `prepare` and goes to sleep while the device publishes. The driver finds the
/// used buffer, or is notified.
pub(super) fn driver_sleeps(case: Case, prepare: fn(&mut Driver)) {
    let (mut driver, mut device) = case.warm_ends();
    case.add(&mut driver, 1);
    driver.publish_silently();
    let peer = thread::spawn(move || {
        assert!(serve(&mut device));
        device.publish()
    });
    prepare(&mut driver);
    let reaped = case.reap_until_asleep(&mut driver);
    let notify = peer.join().unwrap();
    assert!(reaped == [1] || notify == Notify::Needed, "{DRIVER_SLEEPS}");
}

pub(crate) fn a_sleeping_device_is_notified(case: Case) {
    device_sleeps(case, |_| ());
}

pub(crate) fn a_sleeping_driver_is_notified(case: Case) {
    driver_sleeps(case, |_| ());
}

/// The driver publishes silently before it publishes. The decision covers both publications.
pub(crate) fn silently_available_buffers_are_announced(case: Case) {
    let (mut driver, mut device) = case.warm_ends();
    let more = u64::from(case.size / case.buffers.descriptors()) > 1;
    let peer = thread::spawn(move || {
        case.add(&mut driver, 1);
        driver.publish_silently();
        if more {
            case.add(&mut driver, 2);
        }
        driver.publish()
    });
    let served = serve_until_asleep(&mut device);
    let notify = peer.join().unwrap();
    assert!(served == 1 + u64::from(more) || notify == Notify::Needed, "{DEVICE_SLEEPS}");
}

/// The device publishes silently before it publishes. The decision covers both publications.
pub(crate) fn silently_used_buffers_are_announced(case: Case) {
    let (mut driver, mut device) = case.warm_ends();
    let last = u64::from(case.size / case.buffers.descriptors()).min(2);
    (1..=last).for_each(|request| case.add(&mut driver, request));
    driver.publish_silently();
    let peer = thread::spawn(move || {
        assert!(serve(&mut device));
        device.publish_silently();
        if last > 1 {
            assert!(serve(&mut device));
        }
        device.publish()
    });
    let reaped = case.reap_until_asleep(&mut driver);
    let notify = peer.join().unwrap();
    assert!(reaped.last() == Some(&last) || notify == Notify::Needed, "{DRIVER_SLEEPS}");
}

/// Both sides sleep until they are notified. loom reports a deadlock where a notification is lost.
pub(crate) fn both_sides_sleep(case: Case) {
    let (driver, device) = case.ends();
    both_sleep(case, driver, device);
}

/// Both ends begin at the position at which another queue was left, one buffer before the end of
/// the ring. The first notifications are lost if an end relies on the requests for position 0 that
/// the areas contain. (No ordering guards the first notifications: an end that has resumed notifies
/// in any case.)
pub(crate) fn both_sides_begin_elsewhere(case: Case) {
    let (mut driver, mut device) = case.ends();
    let packed = case.features.contains(PACKED);
    let position = Position::quiescent(if packed { 0x8000 | (case.size - 1) } else { u16::MAX });
    driver.begin_at(position).unwrap();
    device.resume(position).unwrap();
    both_sleep(case, driver, device);
}

fn both_sleep(case: Case, mut driver: Driver, mut device: Device) {
    let (available, used) = (Arc::new(Event::new()), Arc::new(Event::new()));
    let peer = thread::spawn({
        let (available, used) = (available.clone(), used.clone());
        move || {
            let mut taken = Vec::new();
            while taken.len() < 2 {
                taken.extend(std::iter::from_fn(|| take(&mut device)));
                if taken.len() < 2 && device.arm() == Arm::Armed {
                    available.wait();
                }
            }
            // The newest chain is completed first. In an in-order queue it waits for its turn.
            for (token, written) in taken.into_iter().rev() {
                device.complete(token, written).unwrap();
                if device.publish().is_needed() {
                    used.notify();
                }
            }
        }
    });
    for request in 0..2 {
        case.add(&mut driver, request);
        if driver.publish().is_needed() {
            available.notify();
        }
    }
    let mut reaped = Vec::new();
    while reaped.len() < 2 {
        reaped.extend(std::iter::from_fn(|| case.reap(&mut driver)));
        if reaped.len() < 2 && driver.arm() == Arm::Armed {
            used.wait();
        }
    }
    assert_eq!(reaped, if case.features.contains(IN_ORDER) { [0, 1] } else { [1, 0] });
    peer.join().unwrap();
}
