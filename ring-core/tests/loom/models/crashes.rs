//! Devices that crash, and the device that takes over.

use loom::thread;
use ring_core::{ChainRecord, Setup};
use support::device_queue;

use crate::case::{Case, Device, serve, take, wait};

/// A device crashes after it has completed a batch, and another device takes over. The driver runs
/// throughout. The driver gets each buffer back complete and once, and then another buffer in the
/// same slots.
fn a_device_crashes(case: Case, published: bool) {
    let (mut driver, mut device) = case.ends();
    let setup = case.setup();
    (0..2).for_each(|request| case.add(&mut driver, request));
    driver.publish_silently();

    let peer = thread::spawn(move || {
        let start = device.position().used;
        let (records, end) = complete_batch(&mut device);
        if published {
            device.publish_silently();
        }
        let mut next = take_over(&device, &setup, start, published.then_some(end), records);
        wait(|| serve(&mut next).then_some(()));
        next.publish_silently();
    });
    let mut reaped = [0; 2].map(|_| wait(|| case.reap(&mut driver)));
    reaped.sort_unstable();
    assert_eq!(reaped, [0, 1]);
    case.add(&mut driver, 2);
    driver.publish_silently();
    assert_eq!(wait(|| case.reap(&mut driver)), 2);
    peer.join().unwrap();
}

/// Takes two chains and completes the newer chain first, whereas the next device completes the
/// older chain first. Returns the records, and the position after the batch.
fn complete_batch(device: &mut Device) -> ([ChainRecord; 2], u16) {
    let (first, second) = (wait(|| take(device)), wait(|| take(device)));
    let records = [&first, &second].map(|(token, _)| device.record(token).unwrap());
    for (token, written) in [second, first] {
        device.complete(token, written).unwrap();
    }
    (records, device.next_used())
}

/// Sets up the next device. If the batch was not published up to `end`, this device completes the
/// chains.
fn take_over(
    crashed: &Device,
    setup: &Setup,
    start: u16,
    end: Option<u16>,
    records: [ChainRecord; 2],
) -> Device {
    let mut device = device_queue(crashed.memory().clone(), setup);
    assert_eq!(device.has_published(start), end.is_some());
    device.recover(end.unwrap_or(start), 2).unwrap();
    if end.is_none() {
        let tokens = records.map(|record| device.adopt(record).unwrap());
        for (token, record) in tokens.into_iter().zip(records) {
            device.complete(token, record.writable).unwrap();
            // Each chain is published on its own, so that the driver reads what the crashed device
            // wrote behind the first chain.
            device.publish_silently();
        }
    }
    device
}

/// Chains that were staged and not published do not count as used. The next device returns them.
pub(crate) fn a_device_crashes_before_the_publish(case: Case) {
    a_device_crashes(case, false);
}

/// Chains that were published are not returned again, however many of them the driver has reaped
/// meanwhile.
pub(crate) fn a_device_crashes_after_the_publish(case: Case) {
    a_device_crashes(case, true);
}
