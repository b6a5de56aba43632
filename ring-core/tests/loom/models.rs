//! The models: two threads, one at each end of a tiny queue, in every interleaving that loom can find.

use loom::sync::{Arc, Mutex};
use loom::thread;
use ring_core::memory::Memory as _;
use ring_core::{
    Arm, CompleteError, DeviceQueue, DriverQueue, Features, Notify, Segment, Setup, Token, device, driver,
};

use crate::memory::{LoomMemory, PAYLOAD, Weakened};

/// Which end forgets which ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    Driver(Weakened),
    Device(Weakened),
}

/// What the buffers of a model are made of. Those of one segment go a way of their own at both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffers {
    /// One word: a readable one, then a writable one, in turn.
    Short,
    /// A readable and a writable word.
    Long,
}

impl Buffers {
    pub(crate) const ALL: [Self; 2] = [Self::Short, Self::Long];

    /// Descriptors of a buffer.
    const fn descriptors(self) -> u16 {
        match self {
            Self::Short => 1,
            Self::Long => 2,
        }
    }

    /// Whether this request has a readable, and whether it has a writable word.
    const fn words(self, request: u64) -> (bool, bool) {
        match self {
            Self::Short => (request.is_multiple_of(2), !request.is_multiple_of(2)),
            Self::Long => (true, true),
        }
    }
}

/// What a model is run with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) size: u16,
    pub(crate) features: Features,
    pub(crate) buffers: Buffers,
    pub(crate) mutation: Option<Mutation>,
}

type DriverEnd = DriverQueue<LoomMemory, Vec<driver::Slot<u64>>, u64>;
type DeviceEnd = DeviceQueue<LoomMemory, Vec<device::Slot>>;

impl Case {
    fn setup(self) -> Setup {
        LoomMemory::setup(self.size, self.features)
    }

    fn ends(self) -> (DriverEnd, DeviceEnd) {
        let (memory, setup) = (LoomMemory::new(self.size, self.features), self.setup());
        let (driver, device) = match self.mutation {
            None => (None, None),
            Some(Mutation::Driver(weakened)) => (Some(weakened), None),
            Some(Mutation::Device(weakened)) => (None, Some(weakened)),
        };
        let slots = usize::from(self.size);
        (
            DriverQueue::new(memory.side(driver), &setup, vec![driver::Slot::EMPTY; slots]).unwrap(),
            DeviceQueue::new(memory.side(device), &setup, vec![device::Slot::default(); slots]).unwrap(),
        )
    }
}

/// Adds a buffer: what it asks is 100 more than its number, and what it is to be answered 200 more.
fn add(driver: &mut DriverEnd, buffers: Buffers, request: u64) {
    let address = PAYLOAD + 16 * request;
    let (question, answer) = ([Segment::new(address, 8)], [Segment::new(address + 8, 8)]);
    let (has_question, has_answer) = buffers.words(request);
    if has_question {
        driver.memory().write_bytes(address, &(100 + request).to_le_bytes()).unwrap();
    }
    let (readable, writable) = (&question[..has_question.into()], &answer[..has_answer.into()]);
    driver.add(readable, writable, request).unwrap();
}

/// Takes the next buffer, and checks and answers it. Returns it with the number of bytes written.
fn take(device: &mut DeviceEnd) -> Option<(Token, u32)> {
    let mut segments = [Segment::default(); 2];
    let chain = device.pop(&mut segments).unwrap()?;
    for &Segment { address, len } in chain.readable() {
        let mut question = [0; 8];
        device.memory().read_bytes(address, &mut question).unwrap();
        assert_eq!((u64::from_le_bytes(question), len), (100 + (address - PAYLOAD) / 16, 8));
    }
    for &Segment { address, len } in chain.writable() {
        let answer = 200 + (address - PAYLOAD) / 16;
        device.memory().write_bytes(address, &answer.to_le_bytes()).unwrap();
        assert_eq!(len, 8);
    }
    let token = chain.into_token();
    let written = token.writable();
    Some((token, written))
}

/// Takes the next buffer, and checks and answers it. It is staged, not published.
fn serve(device: &mut DeviceEnd) -> bool {
    let Some((token, written)) = take(device) else { return false };
    device.complete(token, written).unwrap();
    true
}

/// Takes the next used buffer back, and checks the answer.
fn reap(driver: &mut DriverEnd, buffers: Buffers) -> Option<u64> {
    let used = driver.reap().unwrap()?;
    let (_, has_answer) = buffers.words(used.cookie);
    assert_eq!(used.written, if has_answer { 8 } else { 0 });
    if has_answer {
        let mut answer = [0; 8];
        driver.memory().read_bytes(PAYLOAD + 16 * used.cookie + 8, &mut answer).unwrap();
        assert_eq!(u64::from_le_bytes(answer), 200 + used.cookie);
    }
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

/// As many buffers as fit go to the device in a batch and come back in a batch; then another batch, over the
/// same slots. Every word of every descriptor and buffer is seen as it was written.
pub(crate) fn batches_arrive_whole(case: Case) {
    let (mut driver, mut device) = case.ends();
    let batch = u64::from(case.size / case.buffers.descriptors());
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
        (first..first + batch).for_each(|request| add(&mut driver, case.buffers, request));
        driver.publish_silently();
        for request in first..first + batch {
            assert_eq!(wait(|| reap(&mut driver, case.buffers)), request);
        }
    }
    peer.join().unwrap();
}

/// The device falls asleep while the driver publishes: either it sees the buffer, or it is notified.
pub(crate) fn a_device_that_sleeps_is_notified(case: Case) {
    let (mut driver, mut device) = case.ends();
    // One request before, so that the device has taken its first wish back.
    add(&mut driver, case.buffers, 0);
    let _ = driver.publish();
    assert!(serve(&mut device));
    device.publish_silently();
    assert_eq!(reap(&mut driver, case.buffers), Some(0));

    let peer = thread::spawn(move || {
        add(&mut driver, case.buffers, 1);
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
    add(&mut driver, case.buffers, 0);
    let _ = driver.publish();
    assert!(serve(&mut device));
    let _ = device.publish();
    assert_eq!(reap(&mut driver, case.buffers), Some(0));
    add(&mut driver, case.buffers, 1);
    driver.publish_silently();

    let peer = thread::spawn(move || {
        assert!(serve(&mut device));
        device.publish()
    });
    let mut reaped = reap(&mut driver, case.buffers).is_some();
    if !reaped && driver.arm() == Arm::Pending {
        assert_eq!(reap(&mut driver, case.buffers), Some(1), "what is pending can be reaped");
        reaped = true;
    }
    let notify = peer.join().unwrap();
    assert!(reaped || notify == Notify::Needed, "the driver sleeps with a buffer used");
}

/// A device's worker completes a chain while the queue is reset: either the driver gets its buffer back used,
/// or the worker's token is refused and the driver's own reset returns the buffer. Never both, never neither.
pub(crate) fn a_late_completion_returns_its_buffer_once(case: Case) {
    let (memory, setup) = (LoomMemory::new(case.size, case.features), case.setup());
    let slots = usize::from(case.size);
    let side = memory.side(None);
    let mut driver: DriverEnd =
        DriverQueue::new(side.clone(), &setup, (0..slots).map(|_| driver::Slot::EMPTY).collect()).unwrap();
    let device: DeviceEnd =
        DeviceQueue::new(side.clone(), &setup, vec![device::Slot::default(); slots]).unwrap();
    let device = Arc::new(Mutex::new(device));
    add(&mut driver, case.buffers, 0);
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

/// A device dies after it has completed a batch; the next one goes on. The driver runs all the time, and gets each
/// buffer whole and once, and another one over the same slots.
fn a_device_dies(case: Case, after_publishing: bool) {
    let (mut driver, mut device) = case.ends();
    let (memory, setup) = (device.memory().clone(), case.setup());
    (0..2).for_each(|request| add(&mut driver, case.buffers, request));
    driver.publish_silently();

    let peer = thread::spawn(move || {
        let start = device.position().used;
        let (first, second) = (wait(|| take(&mut device)), wait(|| take(&mut device)));
        let taken = [&first, &second].map(|(token, _)| device.record(token).unwrap());
        // The batch is not in the order in which the next device completes it.
        for (token, written) in [second, first] {
            device.complete(token, written).unwrap();
        }
        let end = device.next_used();
        if after_publishing {
            device.publish_silently();
        }

        let slots = vec![device::Slot::default(); usize::from(case.size)];
        let mut device: DeviceEnd = DeviceQueue::new(memory, &setup, slots).unwrap();
        assert_eq!(device.has_published(start), after_publishing);
        if after_publishing {
            device.recover(end, 2).unwrap();
        } else {
            device.recover(start, 2).unwrap();
            let tokens = taken.map(|taken| device.adopt(taken).unwrap());
            for (token, taken) in tokens.into_iter().zip(taken) {
                device.complete(token, taken.writable).unwrap();
                // One by one, so that the driver looks at what is left of the batch behind the first.
                device.publish_silently();
            }
        }
        wait(|| serve(&mut device).then_some(()));
        device.publish_silently();
    });
    let mut reaped = [0; 2].map(|_| wait(|| reap(&mut driver, case.buffers)));
    reaped.sort_unstable();
    assert_eq!(reaped, [0, 1]);
    add(&mut driver, case.buffers, 2);
    driver.publish_silently();
    assert_eq!(wait(|| reap(&mut driver, case.buffers)), 2);
    peer.join().unwrap();
}

/// What was staged and not published is not mistaken for used, and goes back when the next device says so.
pub(crate) fn a_device_dies_before_it_publishes(case: Case) {
    a_device_dies(case, false);
}

/// What was published does not go back again, wherever the driver has come to meanwhile.
pub(crate) fn a_device_dies_after_it_has_published(case: Case) {
    a_device_dies(case, true);
}
