//! The models: two threads, one at each end of a tiny queue, in every interleaving that loom can find.

use loom::sync::{Arc, Mutex};
use loom::thread;
use ring_core::memory::Memory as _;
use ring_core::{Arm, CompleteError, Device, Driver, Features, Notify, Segment, device, driver};

use crate::memory::{LoomMemory, PAYLOAD, Weakened};

/// Which end forgets which ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    Driver(Weakened),
    Device(Weakened),
}

/// What a model is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) size: u16,
    pub(crate) features: Features,
    pub(crate) mutation: Option<Mutation>,
}

type DriverEnd = Driver<LoomMemory, Vec<driver::Slot<u64>>, u64>;
type DeviceEnd = Device<LoomMemory, Vec<device::Slot>>;

impl Case {
    fn ends(self) -> (DriverEnd, DeviceEnd) {
        let (memory, setup) = LoomMemory::new(self.size, self.features);
        let (driver, device) = match self.mutation {
            None => (None, None),
            Some(Mutation::Driver(weakened)) => (Some(weakened), None),
            Some(Mutation::Device(weakened)) => (None, Some(weakened)),
        };
        let slots = usize::from(self.size);
        (
            Driver::new(memory.side(driver), &setup, vec![driver::Slot::EMPTY; slots]).unwrap(),
            Device::new(memory.side(device), &setup, vec![device::Slot::default(); slots]).unwrap(),
        )
    }
}

/// Adds a buffer of one readable and, if the queue has room for it, one writable word.
fn add(driver: &mut DriverEnd, request: u64) {
    let address = PAYLOAD + 16 * request;
    driver.memory().write_bytes(address, &(100 + request).to_le_bytes()).unwrap();
    let answer = [Segment::new(address + 8, 8)];
    driver.add(&[Segment::new(address, 8)], &answer, request).unwrap();
}

/// Takes the next buffer, and checks and answers it. It is staged, not published.
fn serve(device: &mut DeviceEnd) -> bool {
    let mut segments = [Segment::default(); 2];
    let Some(chain) = device.pop(&mut segments).unwrap() else { return false };
    let [Segment { address, len: 8 }] = *chain.readable() else { panic!("{chain:?}") };
    let mut request = [0; 8];
    device.memory().read_bytes(address, &mut request).unwrap();
    let [Segment { address, len: 8 }] = *chain.writable() else { panic!("{chain:?}") };
    let answer = u64::from_le_bytes(request) + 100;
    device.memory().write_bytes(address, &answer.to_le_bytes()).unwrap();
    device.complete(chain.into_token(), 8).unwrap();
    true
}

/// Takes the next used buffer back, and checks the answer.
fn reap(driver: &mut DriverEnd) -> Option<u64> {
    let used = driver.reap().unwrap()?;
    assert_eq!(used.written, 8);
    let mut answer = [0; 8];
    driver.memory().read_bytes(PAYLOAD + 16 * used.cookie + 8, &mut answer).unwrap();
    assert_eq!(u64::from_le_bytes(answer), 200 + used.cookie);
    Some(used.cookie)
}

/// Calls until it gives a result.
fn wait<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        thread::yield_now();
    }
}

/// A batch of buffers of two descriptors each goes to the device and comes back as a batch; then another
/// one, over the same slots. Every word of every descriptor and buffer is seen as it was written.
pub(crate) fn batches_arrive_whole(case: Case) {
    let (mut driver, mut device) = case.ends();
    let batch = u64::from(case.size / 2);
    let total = 2 * batch;
    let peer = thread::spawn(move || {
        for _ in 0..total / batch {
            for _ in 0..batch {
                wait(|| serve(&mut device).then_some(()));
            }
            device.publish_silently();
        }
    });
    for first in [0, batch] {
        (first..first + batch).for_each(|request| add(&mut driver, request));
        driver.publish_silently();
        for request in first..first + batch {
            assert_eq!(wait(|| reap(&mut driver)), request);
        }
    }
    peer.join().unwrap();
}

/// The device falls asleep while the driver publishes: either it sees the buffer, or it is notified.
pub(crate) fn a_device_that_sleeps_is_notified(case: Case) {
    let (mut driver, mut device) = case.ends();
    // One request before, so that the device has taken its first wish back.
    add(&mut driver, 0);
    let _ = driver.publish();
    assert!(serve(&mut device));
    device.publish_silently();
    assert_eq!(reap(&mut driver), Some(0));

    let peer = thread::spawn(move || {
        add(&mut driver, 1);
        driver.publish()
    });
    let mut served = serve(&mut device);
    if !served && device.arm() == Arm::Pending {
        assert!(serve(&mut device), "what is pending can be popped");
        served = true;
    }
    let notify = peer.join().unwrap();
    assert!(served || notify == Notify::Needed, "the device sleeps with a buffer available");
}

/// The driver falls asleep while the device publishes: either it sees the used buffer, or it is notified.
pub(crate) fn a_driver_that_sleeps_is_notified(case: Case) {
    let (mut driver, mut device) = case.ends();
    // One request before, so that the driver has taken its first wish back.
    add(&mut driver, 0);
    let _ = driver.publish();
    assert!(serve(&mut device));
    let _ = device.publish();
    assert_eq!(reap(&mut driver), Some(0));
    add(&mut driver, 1);
    driver.publish_silently();

    let peer = thread::spawn(move || {
        assert!(serve(&mut device));
        device.publish()
    });
    let mut reaped = reap(&mut driver).is_some();
    if !reaped && driver.arm() == Arm::Pending {
        assert_eq!(reap(&mut driver), Some(1), "what is pending can be reaped");
        reaped = true;
    }
    let notify = peer.join().unwrap();
    assert!(reaped || notify == Notify::Needed, "the driver sleeps with a buffer used");
}

/// A device's worker completes a chain while the queue is reset: either the driver gets its buffer back used,
/// or the worker's token is refused and the driver's own reset returns the buffer. Never both, never neither.
pub(crate) fn a_late_completion_returns_its_buffer_once(case: Case) {
    let (memory, setup) = LoomMemory::new(case.size, case.features);
    let slots = usize::from(case.size);
    let side = memory.side(None);
    let mut driver: DriverEnd =
        Driver::new(side.clone(), &setup, (0..slots).map(|_| driver::Slot::EMPTY).collect()).unwrap();
    let device: DeviceEnd = Device::new(side.clone(), &setup, vec![device::Slot::default(); slots]).unwrap();
    let device = Arc::new(Mutex::new(device));
    add(&mut driver, 0);
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
    // The device has let go; what it had returned before that counts.
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
