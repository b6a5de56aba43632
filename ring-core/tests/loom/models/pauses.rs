//! Ends that are suspended and resumed, and chains that are given back.

use loom::thread;
use ring_core::Notify;

use super::sleepers::{device_sleeps, driver_sleeps};
use crate::case::{Case, DEVICE_SLEEPS, DRIVER_SLEEPS, serve, serve_until_asleep, take};

/// The device is suspended and resumed while the driver publishes.
pub(crate) fn a_device_pauses(case: Case) {
    device_sleeps(case, |device| {
        let (position, _) = device.suspend();
        device.resume(position).unwrap();
    });
}

/// The driver is suspended and resumed while the device publishes.
pub(crate) fn a_driver_pauses(case: Case) {
    driver_sleeps(case, |driver| {
        let _ = driver.suspend();
        driver.resume();
    });
}

/// The device is suspended with one completion staged and another published silently.
pub(crate) fn a_device_pauses_with_completions(case: Case) {
    let (mut driver, mut device) = case.warm_ends();
    let count = u64::from(case.size / case.buffers.descriptors()).min(2);
    (1..=count).for_each(|request| case.add(&mut driver, request));
    driver.publish_silently();
    let peer = thread::spawn(move || {
        assert!(serve(&mut device));
        device.publish_silently();
        if count > 1 {
            assert!(serve(&mut device));
        }
        let (position, suspended) = device.suspend();
        device.resume(position).unwrap();
        [suspended, device.publish()]
    });
    let reaped = case.reap_until_asleep(&mut driver);
    let [suspended, resumed] = peer.join().unwrap();
    assert!(reaped.len() as u64 == count || suspended == Notify::Needed, "{DRIVER_SLEEPS}");
    assert_eq!(resumed, Notify::Needed, "a resumed device does not know what was announced");
}

/// The device gives a chain back and takes it again while the driver publishes another.
pub(crate) fn a_chain_is_given_back(case: Case) {
    let (mut driver, mut device) = case.ends();
    case.add(&mut driver, 0);
    driver.publish_silently();
    let more = u64::from(case.size / case.buffers.descriptors()) > 1;
    let peer = thread::spawn(move || {
        if more {
            case.add(&mut driver, 1);
        }
        driver.publish()
    });
    let (token, _) = take(&mut device).expect("a buffer is available");
    device.unpop(token).unwrap();
    let served = serve_until_asleep(&mut device);
    assert!(served > 0, "the chain was given back and is not available");
    let notify = peer.join().unwrap();
    assert!(served == 1 + u64::from(more) || notify == Notify::Needed, "{DEVICE_SLEEPS}");
}
