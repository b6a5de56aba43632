//! Queues that are reset while a chain is in flight.

use loom::sync::{Arc, Mutex};
use loom::thread;
use ring_core::{CompleteError, Segment};
use support::{device_queue, driver_queue};

use crate::case::Case;
use crate::memory::LoomMemory;

/// A worker of the device completes a chain while the queue is reset. Exactly one of two things
/// happens: the driver reaps its buffer, or the token is stale and the reset of the driver returns
/// the buffer.
pub(crate) fn a_late_completion_returns_its_buffer_once(case: Case) {
    let (memory, setup) = (LoomMemory::new(case.size, case.features, case.words), case.setup());
    let side = memory.side(None);
    let mut driver = driver_queue(side.clone(), &setup);
    let device = Arc::new(Mutex::new(device_queue(side.clone(), &setup)));
    case.add(&mut driver, 0);
    driver.publish_silently();
    let token = device.lock().unwrap().pop(&mut [Segment::default(); 2]).unwrap().unwrap().into_token();

    let worker = thread::spawn({
        let device = device.clone();
        move || {
            let mut device = device.lock().unwrap();
            let completed = device.complete(token, 0);
            device.publish_silently();
            completed
        }
    });
    device.lock().unwrap().reset(side.clone(), &setup).unwrap();
    // What the device returned before its reset is valid.
    let reaped = driver.reap().unwrap().map(|used| used.cookie);
    let mut returned = Vec::new();
    driver.reset(side, &setup, |cookie| returned.push(cookie)).unwrap();
    let completed = worker.join().unwrap();
    match completed {
        Ok(()) => assert_eq!((reaped, returned), (Some(0), vec![])),
        Err(CompleteError::Stale) => assert_eq!((reaped, returned), (None, vec![0])),
        Err(error) => panic!("{error}"),
    }
}
