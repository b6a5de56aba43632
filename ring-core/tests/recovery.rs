//! A device that dies at any step: the next one goes on from its journal, and the driver gets each buffer back
//! exactly once.

use proptest::prelude::*;
use ring_core::memory::RawMemory;
use ring_core::{Areas, Chain, CompleteError, DeviceQueue, DriverQueue, Features, Notify, PopError};
use ring_core::{ChainRecord, Segment, Setup, SetupError, Token, device, driver};

const FORMATS: [Features; 4] = [
    Features::empty(),
    Features::RING_PACKED,
    Features::IN_ORDER,
    Features::RING_PACKED.union(Features::IN_ORDER),
];

/// The most segments that the devices take.
const LONGEST: usize = 2;

type DriverEnd<'m> = DriverQueue<RawMemory<'m>, [driver::Slot<usize>; 8], usize>;
type DeviceEnd<'m> = DeviceQueue<RawMemory<'m>, [device::Slot; 8]>;

fn setup(features: Features) -> Setup {
    // Five descriptors where the format allows it, so that laps end anywhere.
    let size = if features.contains(Features::RING_PACKED) { 5 } else { 4 };
    Setup::new(size, features, Areas { descriptor: 0, driver: 0x100, device: 0x200 })
}

fn device<'m>(memory: &RawMemory<'m>, features: Features) -> DeviceEnd<'m> {
    DeviceQueue::new(memory.clone(), &setup(features), [device::Slot::default(); 8]).unwrap()
}

/// What outlives a device.
#[derive(Debug)]
struct Journal {
    used: u16,
    last: u64,
    taken: Vec<ChainRecord>,
    /// What is to be published: where that ends, and the chains.
    staged: Option<(u16, Vec<ChainRecord>)>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add(usize),
    Take,
    Complete(prop::sample::Index),
    Unpop,
    Stage,
    Publish,
    Note,
    Reap,
    Die,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..4).prop_map(Step::Add),
        4 => Just(Step::Take),
        4 => any::<prop::sample::Index>().prop_map(Step::Complete),
        1 => Just(Step::Unpop),
        3 => Just(Step::Stage),
        3 => Just(Step::Publish),
        3 => Just(Step::Note),
        3 => Just(Step::Reap),
        2 => Just(Step::Die),
    ]
}

struct World<'m> {
    memory: RawMemory<'m>,
    features: Features,
    driver: DriverEnd<'m>,
    device: DeviceEnd<'m>,
    journal: Journal,
    /// In the order in which they were taken.
    tokens: Vec<(Token, ChainRecord)>,
    /// Completed, and not yet noted as staged; in order of completion.
    completed: Vec<ChainRecord>,
    published: bool,
    /// The segments of each buffer, by its cookie.
    added: Vec<usize>,
    returned: Vec<usize>,
}

impl<'m> World<'m> {
    fn new(page: &'m mut [u64; 512], features: Features) -> Self {
        let memory = RawMemory::from_mut(page, 0);
        let driver = DriverQueue::new(memory.clone(), &setup(features), [driver::Slot::EMPTY; 8]).unwrap();
        let device = device(&memory, features);
        let used = device.position().used;
        let journal = Journal { used, last: 0, taken: Vec::new(), staged: None };
        Self {
            memory,
            features,
            driver,
            device,
            journal,
            tokens: Vec::new(),
            completed: Vec::new(),
            published: false,
            added: Vec::new(),
            returned: Vec::new(),
        }
    }

    fn take_step(&mut self, step: Step) {
        match step {
            Step::Add(count) => {
                let segments = [Segment::new(0x800, 8); 4];
                if self.driver.add(&[], &segments[..count], self.added.len()).is_ok() {
                    let _ = self.driver.publish();
                    self.added.push(count);
                }
            }
            Step::Take => {
                let token = match self.device.pop(&mut [Segment::default(); LONGEST]) {
                    Ok(chain) => chain.map(Chain::into_token),
                    Err(PopError::TooLong(token)) => Some(token),
                    Err(error) => panic!("{error}"),
                };
                if let Some(token) = token {
                    let taken = self.device.record(&token).unwrap();
                    (self.journal.last, _) = (taken.serial, self.journal.taken.push(taken));
                    self.tokens.push((token, taken));
                }
            }
            Step::Complete(index) if self.journal.staged.is_none() && !self.tokens.is_empty() => {
                let (token, taken) = self.tokens.remove(index.index(self.tokens.len()));
                self.device.complete(token, taken.writable).unwrap();
                self.completed.push(taken);
            }
            Step::Unpop if self.completed.is_empty() && self.journal.staged.is_none() => self.unpop(),
            Step::Stage if self.journal.staged.is_none() => {
                self.journal.staged = Some((self.device.next_used(), self.staged()));
                self.published = false;
            }
            Step::Publish if self.journal.staged.is_some() && !self.published => {
                let _ = self.device.publish();
                self.published = true;
            }
            Step::Note if self.published => self.note(),
            Step::Reap => self.reap(),
            Step::Die => self.die(),
            _ => {}
        }
    }

    /// The completed chains that are staged: all, or in an in-order queue those whose turn has come.
    fn staged(&mut self) -> Vec<ChainRecord> {
        let in_order = self.features.contains(Features::IN_ORDER);
        let waiting = self.tokens.iter().map(|(_, taken)| taken.serial).min().filter(|_| in_order);
        let waiting = waiting.unwrap_or(u64::MAX);
        let (staged, completed) = self.completed.drain(..).partition(|taken| taken.serial < waiting);
        self.completed = completed;
        staged
    }

    fn note(&mut self) {
        let Some((used, staged)) = self.journal.staged.take() else { return };
        self.journal.used = used;
        self.journal.taken.retain(|taken| !staged.contains(taken));
        self.published = false;
    }

    fn unpop(&mut self) {
        let Some((token, taken)) = self.tokens.pop() else { return };
        match self.device.unpop(token) {
            Ok(()) => {
                self.journal.taken.retain(|other| *other != taken);
                self.journal.last = taken.serial - 1;
            }
            Err(CompleteError::NotNewest(token)) => self.tokens.push((token, taken)),
            Err(error) => panic!("{error}"),
        }
    }

    fn reap(&mut self) {
        while let Some(used) = self.driver.reap().unwrap() {
            assert!(!self.returned.contains(&used.cookie), "{} came back twice", used.cookie);
            // What the devices cannot take goes back as it came.
            let expected =
                Some(self.added[used.cookie]).filter(|count| *count <= LONGEST).map_or(0, |count| 8 * count);
            assert_eq!(used.written as usize, expected, "bytes written to {}", used.cookie);
            self.returned.push(used.cookie);
        }
    }

    fn die(&mut self) {
        self.device = device(&self.memory, self.features);
        let staged = self.journal.staged.as_ref().is_some_and(|(_, staged)| !staged.is_empty());
        if staged && self.device.has_published(self.journal.used) {
            self.note();
        }
        self.journal.staged = None;
        self.device.recover(self.journal.used, self.journal.last).unwrap();
        let adopt = |taken: &ChainRecord| (self.device.adopt(*taken).unwrap(), *taken);
        self.tokens = self.journal.taken.iter().map(adopt).collect();
        self.completed.clear();
        self.published = false;
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            for step in [Step::Publish, Step::Note, Step::Take] {
                self.take_step(step);
            }
            while !self.tokens.is_empty() {
                let (token, taken) = self.tokens.remove(0);
                self.device.complete(token, taken.writable).unwrap();
                self.completed.push(taken);
            }
            for step in [Step::Stage, Step::Publish, Step::Note, Step::Reap] {
                self.take_step(step);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn each_buffer_comes_back_exactly_once_wherever_the_device_dies(
        steps in prop::collection::vec(step(), 1..150), format in 0usize..4,
    ) {
        let mut page = [0; 512];
        let mut world = World::new(&mut page, FORMATS[format]);
        steps.into_iter().for_each(|step| world.take_step(step));
        world.settle();
        let mut returned = world.returned.clone();
        returned.sort_unstable();
        prop_assert_eq!(returned, (0..world.added.len()).collect::<Vec<_>>());
    }
}

#[test]
fn what_cannot_have_been_in_flight_is_not_taken_over() {
    for features in FORMATS {
        let mut page = [0; 512];
        let memory = RawMemory::from_mut(&mut page, 0);
        let mut device = device(&memory, features);
        let used = device.position().used;
        device.recover(used, 3).unwrap();
        let good = ChainRecord { serial: 2, writable: 8, id: 1, count: 2 };
        let _token = device.adopt(good).unwrap();
        let size = setup(features).size;
        for bad in [
            good,
            ChainRecord { id: size, ..good },
            ChainRecord { id: 2, serial: 0, ..good },
            // Not in the order in which they were taken.
            ChainRecord { id: 2, serial: 1, ..good },
            ChainRecord { id: 2, serial: 5, ..good },
            ChainRecord { id: 2, serial: 1 << 63 | 1, ..good },
            ChainRecord { id: 2, count: 0, ..good },
            ChainRecord { id: 2, count: size - 1, ..good },
        ] {
            assert_eq!(device.adopt(bad), Err(SetupError::ChainRecord(bad)));
        }
    }
}

#[test]
fn a_chain_is_taken_over_once() {
    for features in FORMATS {
        let mut page = [0; 512];
        let memory = RawMemory::from_mut(&mut page, 0);
        let mut device = device(&memory, features);
        device.recover(device.position().used, 3).unwrap();
        let taken = ChainRecord { serial: 2, writable: 8, id: 1, count: 2 };
        let token = device.adopt(taken).unwrap();
        device.complete(token, 8).unwrap();
        let _ = device.publish();
        assert_eq!(device.adopt(taken), Err(SetupError::ChainRecord(taken)));
    }
}

#[test]
fn no_chain_is_taken_over_after_one_that_was_popped() {
    for features in FORMATS {
        let mut page = [0; 512];
        let mut world = World::new(&mut page, features);
        world.device.recover(world.device.position().used, 3).unwrap();
        [Step::Add(1), Step::Take].into_iter().for_each(|step| world.take_step(step));
        let position = world.device.position();
        // Where this one was, the device has just found another, so the next place would be skipped.
        let taken = ChainRecord { serial: 2, writable: 8, id: 1, count: 2 };
        assert_eq!(world.device.adopt(taken), Err(SetupError::ChainRecord(taken)));
        assert_eq!(world.device.position(), position);
    }
}

#[test]
fn a_device_that_stands_still_takes_no_chain_over() {
    for features in FORMATS {
        let mut page = [0; 512];
        let memory = RawMemory::from_mut(&mut page, 0);
        let mut device = device(&memory, features);
        device.recover(device.position().used, 3).unwrap();
        let (position, _) = device.suspend();
        let taken = ChainRecord { serial: 2, writable: 8, id: 1, count: 2 };
        assert_eq!(device.adopt(taken), Err(SetupError::ChainRecord(taken)));
        assert_eq!(device.position(), position);
    }
}

#[test]
fn a_token_of_a_device_does_not_stand_for_a_chain_that_another_has_taken() {
    for features in FORMATS {
        let mut world_page = [0; 512];
        let mut world = World::new(&mut world_page, features);
        [Step::Add(1), Step::Take].into_iter().for_each(|step| world.take_step(step));
        let World { memory, mut device, mut tokens, .. } = world;
        device.reset(memory, &setup(features)).unwrap();
        let used = device.position().used;
        let (token, taken) = tokens.remove(0);
        assert_eq!(device.recover(used, 1), Err(SetupError::Recovery { last: 1, taken: 1 }));
        assert_eq!(device.adopt(taken), Err(SetupError::ChainRecord(taken)));
        assert_eq!(device.complete(token, 8), Err(CompleteError::Stale));
    }
}

#[test]
fn a_journal_that_counts_more_chains_than_there_can_be_is_refused() {
    for features in FORMATS {
        for last in [u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 62] {
            let mut page = [0; 512];
            let mut world = World::new(&mut page, features);
            let before = world.device.position();
            let elsewhere = before.used + 1;
            assert_eq!(world.device.recover(elsewhere, last), Err(SetupError::Recovery { last, taken: 0 }));
            assert_eq!(world.device.position(), before);
            [Step::Add(1), Step::Add(2)].into_iter().for_each(|step| world.take_step(step));
            world.settle();
            assert_eq!(world.returned, [0, 1]);
        }
    }
}

#[test]
fn what_a_dead_device_published_and_did_not_announce_is_announced() {
    for features in FORMATS {
        let mut page = [0; 512];
        let mut world = World::new(&mut page, features);
        for step in [Step::Add(1), Step::Take] {
            world.take_step(step);
        }
        let (token, taken) = world.tokens.remove(0);
        world.device.complete(token, taken.writable).unwrap();
        world.completed.push(taken);
        world.take_step(Step::Stage);
        world.device.publish_silently();
        world.take_step(Step::Die);
        assert_eq!((world.tokens.len(), world.device.publish()), (0, Notify::Needed));
    }
}
