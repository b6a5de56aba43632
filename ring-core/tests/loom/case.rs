//! The configuration of a model (a queue, its buffers, and the ordering that is left out), and the
//! steps that models are made of.

use loom::thread;
use ring_core::driver::Used;
use ring_core::memory::Memory as _;
use ring_core::{Arm, Features, Segment, Setup, Token};
use support::{HeapDeviceQueue, HeapDriverQueue, device_queue, driver_queue};

use crate::memory::{LoomMemory, PAYLOAD, Weakened, Words};

pub(crate) type Driver = HeapDriverQueue<LoomMemory, u64>;
pub(crate) type Device = HeapDeviceQueue<LoomMemory>;

/// The message of a model in which a notification to the device is lost.
pub(crate) const DEVICE_SLEEPS: &str = "the device sleeps with a buffer available";
/// The message of a model in which a notification to the driver is lost.
pub(crate) const DRIVER_SLEEPS: &str = "the driver sleeps with a buffer used";
/// The message of a model in which a descriptor has a length that was never published with it.
pub(crate) const WRONG_LENGTH: &str = "the descriptor has the length of another one";

/// The start of loom's message for a model in which an end that was not notified sleeps for ever.
pub(crate) const DEADLOCK: &str = "deadlock";

/// The end that leaves out an ordering, with the ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    Driver(Weakened),
    Device(Weakened),
}

/// The segments of a model's buffers. Both ends have a special path for buffers of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffers {
    /// One word: readable and writable in turn.
    Short,
    /// A readable word and a writable word.
    Long,
}

impl Buffers {
    pub(crate) const ALL: [Self; 2] = [Self::Short, Self::Long];

    /// Returns the number of descriptors of a buffer.
    pub(crate) const fn descriptors(self) -> u16 {
        match self {
            Self::Short => 1,
            Self::Long => 2,
        }
    }

    /// Returns whether the request has a readable word, and whether it has a writable word.
    const fn words(self, request: u64) -> (bool, bool) {
        match self {
            Self::Short => (request % 2 == 0, request % 2 != 0),
            Self::Long => (true, true),
        }
    }
}

/// The configuration of a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) size: u16,
    pub(crate) features: Features,
    pub(crate) buffers: Buffers,
    pub(crate) words: Words,
    pub(crate) mutation: Option<Mutation>,
    /// The largest number of preemptions in an interleaving, if there is a limit.
    pub(crate) preemptions: Option<usize>,
}

impl Case {
    pub(crate) const fn new(size: u16, features: Features, buffers: Buffers) -> Self {
        Self { size, features, buffers, words: Words::Whole, mutation: None, preemptions: None }
    }

    pub(crate) const fn in_halves(self) -> Self {
        Self { words: Words::Halves, ..self }
    }

    /// Limits the model to interleavings with at most this many preemptions.
    pub(crate) const fn preempted(self, at_most: usize) -> Self {
        Self { preemptions: Some(at_most), ..self }
    }

    pub(crate) const fn without(self, mutation: Mutation) -> Self {
        Self { mutation: Some(mutation), ..self }
    }

    pub(crate) const fn setup(self) -> Setup {
        LoomMemory::setup(self.size, self.features)
    }

    pub(crate) fn ends(self) -> (Driver, Device) {
        let (memory, setup) = (LoomMemory::new(self.size, self.features, self.words), self.setup());
        let (driver, device) = match self.mutation {
            None => (None, None),
            Some(Mutation::Driver(weakened)) => (Some(weakened), None),
            Some(Mutation::Device(weakened)) => (None, Some(weakened)),
        };
        (driver_queue(memory.side(driver), &setup), device_queue(memory.side(device), &setup))
    }

    /// Returns both ends after one request, so that each side has disabled notifications.
    pub(crate) fn warm_ends(self) -> (Driver, Device) {
        let (mut driver, mut device) = self.ends();
        self.add(&mut driver, 0);
        let _ = driver.publish();
        assert!(serve(&mut device));
        let _ = device.publish();
        assert_eq!(self.reap(&mut driver), Some(0));
        (driver, device)
    }

    /// Adds a buffer. The question is the number of the request plus 100, and the answer is the
    /// number plus 200.
    pub(crate) fn add(self, driver: &mut Driver, request: u64) {
        let (readable, writable) = self.ask(driver.memory(), request);
        driver.add(&readable, &writable, request).unwrap();
    }

    /// Writes the question of a request. Returns the segments of its buffer.
    pub(crate) fn ask(self, memory: &LoomMemory, request: u64) -> (Vec<Segment>, Vec<Segment>) {
        let address = PAYLOAD + 16 * request;
        let (question, answer) = (Segment::new(address, 8), Segment::new(address + 8, 8));
        let (has_question, has_answer) = self.buffers.words(request);
        if has_question {
            memory.write_bytes(address, &(100 + request).to_le_bytes()).unwrap();
        }
        (vec![question; has_question.into()], vec![answer; has_answer.into()])
    }

    /// Takes back the next used buffer, and checks the answer.
    pub(crate) fn reap(self, driver: &mut Driver) -> Option<u64> {
        let used = driver.reap().unwrap()?;
        self.check(driver.memory(), &used);
        Some(used.cookie)
    }

    /// Checks the answer in a used buffer.
    pub(crate) fn check(self, memory: &LoomMemory, used: &Used<u64>) {
        let (_, has_answer) = self.buffers.words(used.cookie);
        assert_eq!(used.written, if has_answer { 8 } else { 0 });
        if has_answer {
            let mut answer = [0; 8];
            memory.read_bytes(PAYLOAD + 16 * used.cookie + 8, &mut answer).unwrap();
            assert_eq!(u64::from_le_bytes(answer), 200 + used.cookie);
        }
    }

    /// Reaps until the driver may sleep. Returns the requests whose buffers were reaped.
    pub(crate) fn reap_until_asleep(self, driver: &mut Driver) -> Vec<u64> {
        let mut reaped = Vec::new();
        loop {
            reaped.extend(std::iter::from_fn(|| self.reap(driver)));
            if driver.arm() == Arm::Armed {
                return reaped;
            }
        }
    }
}

/// Takes the next buffer, and checks and answers it. Returns the token and the number of bytes
/// written.
pub(crate) fn take(device: &mut Device) -> Option<(Token, u32)> {
    let mut segments = [Segment::default(); 2];
    let chain = device.pop(&mut segments).unwrap()?;
    answer(device.memory(), chain.readable(), chain.writable());
    let token = chain.into_token();
    let written = token.writable();
    Some((token, written))
}

/// Checks the questions in a chain, and writes the answers.
pub(crate) fn answer(memory: &LoomMemory, readable: &[Segment], writable: &[Segment]) {
    for &Segment { address, len } in readable {
        assert_eq!(len, 8, "{WRONG_LENGTH}");
        let mut question = [0; 8];
        memory.read_bytes(address, &mut question).unwrap();
        assert_eq!(u64::from_le_bytes(question), 100 + (address - PAYLOAD) / 16);
    }
    for &Segment { address, len } in writable {
        assert_eq!(len, 8, "{WRONG_LENGTH}");
        let answer = 200 + (address - PAYLOAD) / 16;
        memory.write_bytes(address, &answer.to_le_bytes()).unwrap();
    }
}

/// Takes the next buffer, checks and answers it, and completes it. The buffer is staged, not
/// published.
pub(crate) fn serve(device: &mut Device) -> bool {
    let Some((token, written)) = take(device) else { return false };
    device.complete(token, written).unwrap();
    true
}

/// Serves until the device may sleep. Returns the number of buffers served.
pub(crate) fn serve_until_asleep(device: &mut Device) -> u64 {
    let mut served = 0;
    loop {
        while serve(device) {
            served += 1;
        }
        // A device with staged chains cannot arm.
        device.publish_silently();
        if device.arm() == Arm::Armed {
            return served;
        }
    }
}

/// Repeats an attempt until it has a result.
pub(crate) fn wait<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        thread::yield_now();
    }
}
