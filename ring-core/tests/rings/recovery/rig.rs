//! A driver, devices that crash one after another, and the journal that outlives them.

use proptest::prelude::*;
use ring_core::memory::RawMemory;
use ring_core::{Chain, ChainRecord, CompleteError, Features, PopError, Segment, Setup, Token};
use support::{
    BUFFERS, HeapDeviceQueue, HeapDriverQueue, IN_ORDER, PACKED, device_queue, driver_queue, setup,
};

/// The largest number of segments that the devices accept.
const LONGEST: usize = 2;

/// A queue of five descriptors where the format allows it, so that laps end anywhere.
pub(crate) fn five(features: Features) -> Setup {
    setup(if features.contains(PACKED) { 5 } else { 4 }, features)
}

/// The journal, which outlives a device.
#[derive(Debug)]
pub(crate) struct Journal {
    /// The used half of the position after the last publish.
    used: u16,
    /// The serial of the chain that was taken last.
    last: u64,
    taken: Vec<ChainRecord>,
    /// The chains that are about to be published, and the used position after the publish.
    staged: Option<(u16, Vec<ChainRecord>)>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// The driver adds a buffer of this many segments and publishes it.
    Add(usize),
    Take,
    Complete(prop::sample::Index),
    Unpop,
    /// The journal notes what is about to be published.
    Stage,
    Publish,
    /// The journal notes that the publish has happened.
    Note,
    Reap,
    Crash,
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..4).prop_map(Step::Add),
        4 => Just(Step::Take),
        4 => any::<prop::sample::Index>().prop_map(Step::Complete),
        1 => Just(Step::Unpop),
        3 => Just(Step::Stage),
        3 => Just(Step::Publish),
        3 => Just(Step::Note),
        3 => Just(Step::Reap),
        2 => Just(Step::Crash),
    ]
}

pub(crate) struct Rig<'m> {
    memory: RawMemory<'m>,
    setup: Setup,
    driver: HeapDriverQueue<RawMemory<'m>, usize>,
    pub(crate) device: HeapDeviceQueue<RawMemory<'m>>,
    journal: Journal,
    /// The chains in flight, in the order in which they were taken.
    pub(crate) tokens: Vec<(Token, ChainRecord)>,
    /// The chains that are completed and not noted as staged, in order of completion.
    pub(crate) completed: Vec<ChainRecord>,
    published: bool,
    /// The number of segments of each buffer, by cookie.
    pub(crate) added: Vec<usize>,
    /// The cookies in the order in which the driver got them back.
    pub(crate) returned: Vec<usize>,
}

impl<'m> Rig<'m> {
    pub(crate) fn new(memory: RawMemory<'m>, features: Features) -> Self {
        let setup = five(features);
        let device = device_queue(memory.clone(), &setup);
        let used = device.position().used;
        Self {
            driver: driver_queue(memory.clone(), &setup),
            device,
            memory,
            setup,
            journal: Journal { used, last: 0, taken: Vec::new(), staged: None },
            tokens: Vec::new(),
            completed: Vec::new(),
            published: false,
            added: Vec::new(),
            returned: Vec::new(),
        }
    }

    pub(crate) fn perform(&mut self, step: Step) {
        match step {
            Step::Add(count) => self.add(count),
            Step::Take => self.take(),
            Step::Complete(index) => self.complete(index),
            Step::Unpop => self.unpop(),
            Step::Stage => self.stage(),
            Step::Publish => self.publish(),
            Step::Note => self.note(),
            Step::Reap => self.reap(),
            Step::Crash => self.crash(),
        }
    }

    /// Brings every buffer back to the driver.
    pub(crate) fn settle(&mut self) {
        for _ in 0..20 {
            for step in [Step::Publish, Step::Note, Step::Take] {
                self.perform(step);
            }
            while !self.tokens.is_empty() {
                self.complete_at(0);
            }
            for step in [Step::Stage, Step::Publish, Step::Note, Step::Reap] {
                self.perform(step);
            }
        }
    }

    fn add(&mut self, count: usize) {
        let segments = [Segment::new(BUFFERS, 8); 4];
        if self.driver.add(&[], &segments[..count], self.added.len()).is_ok() {
            let _ = self.driver.publish();
            self.added.push(count);
        }
    }

    fn take(&mut self) {
        let token = match self.device.pop(&mut [Segment::default(); LONGEST]) {
            Ok(chain) => chain.map(Chain::into_token),
            Err(PopError::TooLong(token)) => Some(token),
            Err(error) => panic!("{error}"),
        };
        if let Some(token) = token {
            let record = self.device.record(&token).unwrap();
            self.journal.last = record.serial;
            self.journal.taken.push(record);
            self.tokens.push((token, record));
        }
    }

    fn complete(&mut self, index: prop::sample::Index) {
        if self.journal.staged.is_none() && !self.tokens.is_empty() {
            self.complete_at(index.index(self.tokens.len()));
        }
    }

    /// Completes a chain as fully written, without noting it in the journal.
    pub(crate) fn complete_at(&mut self, index: usize) {
        let (token, record) = self.tokens.remove(index);
        self.device.complete(token, record.writable).unwrap();
        self.completed.push(record);
    }

    fn unpop(&mut self) {
        if !self.completed.is_empty() || self.journal.staged.is_some() {
            return;
        }
        let Some((token, record)) = self.tokens.pop() else { return };
        match self.device.unpop(token) {
            Ok(()) => {
                self.journal.taken.retain(|other| *other != record);
                self.journal.last = record.serial - 1;
            }
            Err(CompleteError::NotNewest(token)) => self.tokens.push((token, record)),
            Err(error) => panic!("{error}"),
        }
    }

    fn stage(&mut self) {
        if self.journal.staged.is_none() {
            self.journal.staged = Some((self.device.next_used(), self.staged()));
            self.published = false;
        }
    }

    /// Returns the completed chains that are staged: all of them or, in an in-order queue, those
    /// that wait for no older chain.
    fn staged(&mut self) -> Vec<ChainRecord> {
        let in_order = self.setup.features.contains(IN_ORDER);
        let waiting = self.tokens.iter().map(|(_, record)| record.serial).min().filter(|_| in_order);
        let waiting = waiting.unwrap_or(u64::MAX);
        let (staged, completed) = self.completed.drain(..).partition(|record| record.serial < waiting);
        self.completed = completed;
        staged
    }

    fn publish(&mut self) {
        if self.journal.staged.is_some() && !self.published {
            let _ = self.device.publish();
            self.published = true;
        }
    }

    fn note(&mut self) {
        if self.published {
            self.note_published();
        }
    }

    fn note_published(&mut self) {
        let Some((used, staged)) = self.journal.staged.take() else { return };
        self.journal.used = used;
        self.journal.taken.retain(|record| !staged.contains(record));
        self.published = false;
    }

    fn reap(&mut self) {
        while let Some(used) = self.driver.reap().unwrap() {
            assert!(!self.returned.contains(&used.cookie), "{} came back twice", used.cookie);
            // A buffer that is too long for the devices is returned unwritten.
            let count = self.added[used.cookie];
            let expected = if count <= LONGEST { 8 * count } else { 0 };
            assert_eq!(used.written as usize, expected, "bytes written to {}", used.cookie);
            self.returned.push(used.cookie);
        }
    }

    fn crash(&mut self) {
        self.device = device_queue(self.memory.clone(), &self.setup);
        let staged = self.journal.staged.as_ref().is_some_and(|(_, staged)| !staged.is_empty());
        if staged && self.device.has_published(self.journal.used) {
            self.note_published();
        }
        self.journal.staged = None;
        self.device.recover(self.journal.used, self.journal.last).unwrap();
        let adopt = |record: &ChainRecord| (self.device.adopt(*record).unwrap(), *record);
        self.tokens = self.journal.taken.iter().map(adopt).collect();
        self.completed.clear();
        self.published = false;
    }
}
