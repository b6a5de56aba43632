//! The device queue of ring-core and the driver queue of `virtio-drivers`.

use std::collections::{BTreeMap, VecDeque};

use ring_core::memory::RawMemory;
use ring_core::{Areas, Arm, Chain, Features, Reader, Segment, Setup, Token, Writer};
use support::{EVENT_IDX, HeapDeviceQueue, INDIRECT, device_queue};

use crate::contents::{answer, question};
use crate::their_driver::{Buffer, TheirDriver, memory};
use crate::{SIZE, Step};

struct Rig {
    features: Features,
    memory: RawMemory<'static>,
    driver: TheirDriver,
    device: HeapDeviceQueue<RawMemory<'static>>,
    next_cookie: u64,
    /// The questions, indexed by the driver's token.
    questions: BTreeMap<u16, Vec<u8>>,
    /// The driver's tokens of the available buffers, oldest first. The driver publishes each buffer
    /// when it adds the buffer.
    available: VecDeque<u16>,
    taken: Vec<Taken>,
    completed: VecDeque<(u16, Vec<u8>)>,
    used: VecDeque<(u16, Vec<u8>)>,
    /// The number of buffers that the device has published as used.
    returned: u64,
    /// The number of buffers published as used at the last decision to notify.
    decided: u64,
    /// The number of buffers that the driver has taken back.
    reaped: u64,
    device_sleeps: bool,
}

/// A buffer that the device has taken.
struct Taken {
    theirs: u16,
    ours: Token,
    answer: Vec<u8>,
}

pub(crate) fn run(features: Features, steps: &[Step]) {
    let driver = TheirDriver::new(features.contains(INDIRECT), features.contains(EVENT_IDX));
    let [descriptor_area, driver_area, device_area] = driver.areas();
    // Both ends have the same features.
    let setup = Setup::new(
        SIZE,
        features,
        Areas { descriptor: descriptor_area, driver: driver_area, device: device_area },
    );
    let mut rig = Rig {
        features,
        memory: memory(),
        driver,
        device: device_queue(memory(), &setup),
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
    steps.iter().for_each(|step| rig.perform(step));
}

impl Rig {
    fn perform(&mut self, step: &Step) {
        match step {
            Step::Add { readable, writable } => self.add(readable, writable),
            Step::PublishAvailable => {}
            Step::Take => self.take(),
            Step::Complete { which, written } => self.complete(*which, *written),
            Step::PublishUsed => self.publish(),
            Step::Reap => self.reap(),
            // The driver always asks for notifications.
            Step::ArmDriver => {}
            Step::ArmDevice => {
                let arm = self.device.arm();
                self.device_sleeps = arm == Arm::Armed;
                assert_eq!(arm == Arm::Unpublished, !self.completed.is_empty());
                assert_eq!(self.device_sleeps, self.completed.is_empty() && self.available.is_empty());
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
        let chain = self.device.pop(&mut segments).expect("the driver follows the rules");
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
        self.taken.push(Taken { theirs, ours: chain.into_token(), answer });
    }

    fn complete(&mut self, which: u8, written: u16) {
        if self.taken.is_empty() {
            return;
        }
        let which = usize::from(which) % self.taken.len();
        let Taken { theirs, ours, mut answer } = self.taken.swap_remove(which);
        answer.truncate(usize::from(written) % (answer.len() + 1));
        self.device.complete(ours, u32::try_from(answer.len()).unwrap()).unwrap();
        self.completed.push_back((theirs, answer));
    }

    fn publish(&mut self) {
        let notify = self.device.publish();
        self.returned += self.completed.len() as u64;
        self.used.append(&mut self.completed);
        let expected = if self.features.contains(EVENT_IDX) {
            // The driver's event names the next buffer that the driver takes back.
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
