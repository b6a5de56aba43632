//! Our device, and `virtio-drivers`' driver.

use std::collections::{BTreeMap, VecDeque};

use ring_core::memory::RawMemory;
use ring_core::{Areas, Arm, Chain, DeviceQueue, Features, Reader, Segment, Setup, Token, Writer, device};

use crate::contents::{answer, question};
use crate::their_driver::{Buffer, TheirDriver, memory};
use crate::{EVENT_IDX, INDIRECT, Operation, SIZE};

struct Rig {
    features: Features,
    memory: RawMemory<'static>,
    driver: TheirDriver,
    device: DeviceQueue<RawMemory<'static>, Vec<device::Slot>>,
    next_cookie: u64,
    /// Questions by the driver's tokens.
    questions: BTreeMap<u16, Vec<u8>>,
    /// The driver's tokens of what is available, oldest first. This driver publishes each buffer as
    /// it is added.
    available: VecDeque<u16>,
    taken: Vec<ChainRecord>,
    completed: VecDeque<(u16, Vec<u8>)>,
    used: VecDeque<(u16, Vec<u8>)>,
    /// Buffers returned in all; when it was last decided whether to notify; and taken back.
    returned: u64,
    decided: u64,
    reaped: u64,
    device_sleeps: bool,
}

struct ChainRecord {
    theirs: u16,
    ours: Token,
    answer: Vec<u8>,
}

pub(crate) fn run(features: Features, operations: &[Operation]) {
    let driver = TheirDriver::new(features.contains(INDIRECT), features.contains(EVENT_IDX));
    let [descriptor_area, driver_area, device_area] = driver.areas();
    // What was negotiated for the driver is so for the device.
    let setup = Setup::new(
        SIZE,
        features,
        Areas { descriptor: descriptor_area, driver: driver_area, device: device_area },
    );
    let slots = vec![device::Slot::default(); SIZE.into()];
    let mut rig = Rig {
        features,
        memory: memory(),
        driver,
        device: DeviceQueue::new(memory(), &setup, slots).expect("the areas are mapped"),
        next_cookie: 0,
        questions: BTreeMap::new(),
        available: VecDeque::new(),
        taken: Vec::new(),
        completed: VecDeque::new(),
        used: VecDeque::new(),
        returned: 0,
        decided: 0,
        reaped: 0,
        device_sleeps: false,
    };
    operations.iter().for_each(|operation| rig.perform(operation));
}

impl Rig {
    fn perform(&mut self, operation: &Operation) {
        match operation {
            Operation::Add { readable, writable } => self.add(readable, writable),
            Operation::Publish => {}
            Operation::Take => self.take(),
            Operation::Answer { which, written } => self.answer(*which, *written),
            Operation::Return => self.unpop(),
            Operation::Reap => self.reap(),
            // It always asks to be notified.
            Operation::DriverSleeps => {}
            Operation::DeviceSleeps => {
                self.device_sleeps = self.device.arm() == Arm::Armed;
                assert_eq!(self.device_sleeps, self.available.is_empty());
            }
        }
    }

    fn add(&mut self, readable: &[u8], writable: &[u8]) {
        let mut asked = question(self.next_cookie);
        let readable: Vec<Vec<u8>> =
            readable.iter().map(|&len| asked.by_ref().take(len.into()).collect()).collect();
        let question = readable.concat();
        let writable = writable.iter().map(|&len| vec![0; len.into()]).collect();
        let Some(token) = self.driver.add(Buffer { readable, writable }) else { return };
        self.next_cookie += 1;
        self.questions.insert(token, question);
        self.available.push_back(token);
        if self.device_sleeps {
            assert!(self.driver.should_notify(), "the device sleeps");
            self.device_sleeps = false;
        }
    }

    fn take(&mut self) {
        let mut segments = [Segment::default(); SIZE as usize];
        let chain = self.device.pop(&mut segments).expect("the driver keeps to the rules");
        let Some(theirs) = self.available.pop_front() else {
            assert_eq!(chain, None);
            return;
        };
        let chain: Chain<'_> = chain.expect("a buffer is available");
        self.device_sleeps = false;
        let mut reader = Reader::new(&self.memory, chain.readable());
        let mut read = vec![0; usize::try_from(reader.remaining()).unwrap()];
        reader.read(&mut read).unwrap();
        assert_eq!(Some(&read), self.questions.get(&theirs));
        let mut writer = Writer::new(&self.memory, chain.writable());
        let answer = answer(&read, usize::try_from(writer.remaining()).unwrap());
        writer.write(&answer).unwrap();
        self.taken.push(ChainRecord { theirs, ours: chain.into_token(), answer });
    }

    fn answer(&mut self, which: u8, written: u16) {
        if self.taken.is_empty() {
            return;
        }
        let which = usize::from(which) % self.taken.len();
        let ChainRecord { theirs, ours, mut answer } = self.taken.swap_remove(which);
        answer.truncate(usize::from(written) % (answer.len() + 1));
        self.device.complete(ours, u32::try_from(answer.len()).unwrap()).unwrap();
        self.completed.push_back((theirs, answer));
    }

    fn unpop(&mut self) {
        let notify = self.device.publish();
        self.returned += self.completed.len() as u64;
        self.used.append(&mut self.completed);
        let expected = if self.features.contains(EVENT_IDX) {
            // Its event is the next buffer that it takes back.
            (self.decided..self.returned).contains(&self.reaped)
        } else {
            self.decided < self.returned
        };
        assert_eq!(notify.is_needed(), expected);
        self.decided = self.returned;
    }

    fn reap(&mut self) {
        let back = self.driver.reap();
        let Some((token, answer)) = self.used.pop_front() else {
            assert!(back.is_none());
            return;
        };
        let (taken, written, buffer) = back.expect("a buffer is used");
        assert_eq!((taken, written as usize), (token, answer.len()));
        assert_eq!(&buffer.writable.concat()[..answer.len()], answer);
        self.questions.remove(&token);
        self.reaped += 1;
    }
}
