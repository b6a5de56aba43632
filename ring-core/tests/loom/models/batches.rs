//! Batches that both sides poll for.

use loom::thread;
use ring_core::Segment;

use crate::case::{Case, Device, answer, serve, wait};

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

/// The same by bursts. The device takes and completes the first batch, and serves the second one.
pub(crate) fn bursts_arrive_whole(case: Case) {
    let (mut driver, mut device) = case.ends();
    let memory = driver.memory().clone();
    let batch = u64::from(case.size / case.buffers.descriptors());
    let peer = thread::spawn(move || {
        for pass in [complete_in_burst, serve_in_burst] {
            let mut left = batch;
            while left > 0 {
                left -= wait(|| Some(pass(&mut device, left)).filter(|passed| *passed > 0));
            }
        }
    });
    for first in [0, batch] {
        let mut burst = driver.burst();
        for request in first..first + batch {
            let (readable, writable) = case.ask(&memory, request);
            burst.add(&readable, &writable, request).unwrap();
        }
        burst.publish_silently();
        let mut next = first;
        while next < first + batch {
            let mut burst = driver.burst();
            while let Some(used) = burst.reap().unwrap() {
                case.check(&memory, &used);
                assert_eq!(used.cookie, next);
                next += 1;
            }
            drop(burst);
            thread::yield_now();
        }
    }
    peer.join().unwrap();
}

/// Takes and completes what is available, at most `limit` buffers. Returns the number of buffers.
fn complete_in_burst(device: &mut Device, limit: u64) -> u64 {
    let memory = device.memory().clone();
    let (mut burst, mut count) = (device.burst(), 0);
    while count < limit {
        let mut segments = [Segment::default(); 2];
        let Some(chain) = burst.pop(&mut segments).unwrap() else { break };
        answer(&memory, chain.readable(), chain.writable());
        let token = chain.into_token();
        let written = token.writable();
        burst.complete(token, written).unwrap();
        count += 1;
    }
    burst.publish_silently();
    count
}

/// Serves what is available, at most `limit` buffers. Returns the number of buffers.
fn serve_in_burst(device: &mut Device, limit: u64) -> u64 {
    let memory = device.memory().clone();
    let mut burst = device.burst();
    let limit = usize::try_from(limit).unwrap();
    let served = burst.serve(&mut [Segment::default(); 2], limit, |readable, writable| {
        answer(&memory, readable, writable);
        u32::MAX
    });
    burst.publish_silently();
    served.unwrap() as u64
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
