//! Batches that both sides poll for.

use loom::thread;

use crate::case::{Case, serve, wait};

/// As many buffers as fit go to the device in one batch and come back in one batch. Then another
/// batch uses the same slots. Every word of every descriptor and buffer is read as it was written.
pub(crate) fn batches_arrive_whole(case: Case) {
    let (mut driver, mut device) = case.ends();
    let batch = u64::from(case.size / case.buffers.descriptors());
    let peer = thread::spawn(move || {
        for _ in 0..2 {
            for _ in 0..batch {
                wait(|| serve(&mut device).then_some(()));
            }
            device.publish_silently();
        }
    });
    for first in [0, batch] {
        (first..first + batch).for_each(|request| case.add(&mut driver, request));
        driver.publish_silently();
        for request in first..first + batch {
            assert_eq!(wait(|| case.reap(&mut driver)), request);
        }
    }
    peer.join().unwrap();
}

/// The driver peeks at a buffer before it reaps the buffer. The id is wrong if the peek does not
/// observe what the device has published.
pub(crate) fn a_driver_peeks(case: Case) {
    let (mut driver, mut device) = case.ends();
    case.add(&mut driver, 0);
    driver.publish_silently();
    let peer = thread::spawn(move || {
        wait(|| serve(&mut device).then_some(()));
        device.publish_silently();
    });
    let peeked = wait(|| driver.peek());
    let used = driver.reap().unwrap().expect("the driver has peeked at a buffer");
    assert_eq!((used.id, used.cookie), (peeked, 0));
    peer.join().unwrap();
}
