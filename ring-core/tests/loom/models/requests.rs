//! Requests for notifications after several buffers or after each buffer, and withdrawn requests.

use loom::sync::{Arc, Notify as Event};
use loom::thread;
use ring_core::Arm;

use super::sleepers::{device_sleeps, driver_sleeps};
use crate::case::{Case, Device, Driver, serve};

/// Returns the number of buffers of a model, at most two.
fn count(case: Case) -> u16 {
    (case.size / case.buffers.descriptors()).min(2)
}

/// The device returns buffers one by one. The driver sleeps whenever `sleeps` returns that the
/// driver may sleep; `sleeps` gets the number of buffers that have not arrived. If a notification
/// is lost, the model has a deadlock.
fn driver_waits(case: Case, mut sleeps: impl FnMut(&mut Driver, u16) -> bool) {
    let (mut driver, mut device) = case.warm_ends();
    let mut left = count(case);
    (1..=left).for_each(|request| case.add(&mut driver, request.into()));
    driver.publish_silently();
    let used = Arc::new(Event::new());
    let peer = thread::spawn({
        let used = used.clone();
        move || {
            while serve(&mut device) {
                if device.publish().is_needed() {
                    used.notify();
                }
            }
        }
    });
    while left > 0 {
        if sleeps(&mut driver, left) {
            used.wait();
        }
        while case.reap(&mut driver).is_some() {
            left -= 1;
        }
    }
    peer.join().unwrap();
}

/// The driver makes buffers available one by one. The device sleeps whenever `sleeps` returns that
/// the device may sleep; `sleeps` gets the number of buffers that have not arrived. If a
/// notification is lost, the model has a deadlock.
fn device_waits(case: Case, mut sleeps: impl FnMut(&mut Device, u16) -> bool) {
    let (mut driver, mut device) = case.warm_ends();
    let mut left = count(case);
    let available = Arc::new(Event::new());
    let peer = thread::spawn({
        let (available, count) = (available.clone(), left);
        move || {
            for request in 1..=count {
                case.add(&mut driver, request.into());
                if driver.publish().is_needed() {
                    available.notify();
                }
            }
        }
    });
    while left > 0 {
        if sleeps(&mut device, left) {
            available.wait();
        }
        while serve(&mut device) {
            left -= 1;
        }
        // A device with staged chains cannot arm.
        device.publish_silently();
    }
    peer.join().unwrap();
}

/// The notification of the last buffer is lost if the request for that buffer and the look back at
/// the queue are not ordered.
pub(crate) fn a_driver_arms_for_several_buffers(case: Case) {
    driver_waits(case, |driver, left| driver.arm_after(left) == Arm::Armed);
}

/// The mirror image of [`a_driver_arms_for_several_buffers`].
pub(crate) fn a_device_arms_for_several_buffers(case: Case) {
    device_waits(case, |device, left| device.arm_after(left) == Arm::Armed);
}

/// The driver asks once for a notification of every buffer. Without the ordering, the notification
/// of a buffer is lost if the buffer is returned while the driver asks, or, in a split queue, while
/// the driver renews the request for the next buffer.
pub(crate) fn a_driver_asks_once_for_every_buffer(case: Case) {
    let mut asked = false;
    driver_waits(case, move |driver, _| {
        let sleeps = asked || driver.arm_always() == Arm::Armed;
        asked = true;
        sleeps
    });
}

/// The mirror image of [`a_driver_asks_once_for_every_buffer`].
pub(crate) fn a_device_asks_once_for_every_buffer(case: Case) {
    let mut asked = false;
    device_waits(case, move |device, _| {
        let sleeps = asked || device.arm_always() == Arm::Armed;
        asked = true;
        sleeps
    });
}

/// The driver withdraws a request and makes another one. The notification is lost if the device
/// mistakes the second request for the first one.
pub(crate) fn a_driver_disarms(case: Case) {
    driver_sleeps(case, |driver| {
        let _ = driver.arm();
        driver.disarm();
    });
}

/// The mirror image of [`a_driver_disarms`].
pub(crate) fn a_device_disarms(case: Case) {
    device_sleeps(case, |device| {
        let _ = device.arm();
        device.disarm();
    });
}
