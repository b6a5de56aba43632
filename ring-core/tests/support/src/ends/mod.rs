//! Both ends of one queue, and what each end guarantees whatever the other side does.

use std::collections::BTreeMap;

use ring_core::memory::RawMemory;
use ring_core::{Arm, CompleteError, Notify, PopError, Position, Segment, Setup, SetupError, Token};

use crate::{
    BUFFERS, HeapDeviceQueue, HeapDriverQueue, Operation, Watched, device_queue, driver_queue, reset_device,
    reset_driver,
};

/// One step of a test in which the other side breaks the rules.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// An operation that follows the rules, as far as this end can tell.
    Operation(Operation),
    /// The driver is reset and the device is not.
    ResetDriver,
    /// The device is reset and the driver is not.
    ResetDevice,
}

/// Both ends of one queue, with the state that their guarantees are checked against.
#[derive(Debug)]
pub struct Ends<'m> {
    setup: Setup,
    /// The view of the driver end, which records the accesses of this end.
    driver_memory: Watched<'m>,
    /// The view of the device end, which records the accesses of this end.
    device_memory: Watched<'m>,
    driver: HeapDriverQueue<Watched<'m>, u64>,
    device: HeapDeviceQueue<Watched<'m>>,
    driver_broken: bool,
    device_broken: bool,
    next_cookie: u64,
    /// The buffers in flight, by cookie: the writable bytes, and whether the buffer is published.
    buffers: BTreeMap<u64, (u32, bool)>,
    tokens: Vec<Token>,
    /// The serial of the chain that was taken last.
    last: u64,
    /// The number of chains that are completed and not published.
    unpublished: usize,
}

impl<'m> Ends<'m> {
    /// Sets up both ends of a queue in `memory`.
    #[must_use]
    pub fn new(memory: &RawMemory<'m>, setup: Setup) -> Self {
        let (driver_memory, device_memory) = (Watched::new(memory.clone()), Watched::new(memory.clone()));
        Self {
            setup,
            driver: driver_queue(driver_memory.clone(), &setup),
            device: device_queue(device_memory.clone(), &setup),
            driver_memory,
            device_memory,
            driver_broken: false,
            device_broken: false,
            next_cookie: 0,
            buffers: BTreeMap::new(),
            tokens: Vec::new(),
            last: 0,
            unpublished: 0,
        }
    }

    /// Performs one step and checks the guarantees.
    pub fn perform(&mut self, step: Step) {
        let (driver_was_broken, device_was_broken) = (self.driver_broken, self.device_broken);
        let mut storage = 0;
        match step {
            Step::Operation(operation) => {
                if let Operation::Pop { storage: room } = operation {
                    storage = room.into();
                }
                self.operate(operation);
            }
            Step::ResetDriver => self.reset_driver(),
            Step::ResetDevice => self.reset_device(),
        }
        self.check_work(storage, driver_was_broken, device_was_broken);
    }

    fn operate(&mut self, operation: Operation) {
        match operation {
            Operation::Add { readable, writable, indirect } => self.add(readable, writable, indirect),
            Operation::PublishAvailable => {
                let answer = self.driver.publish();
                self.available_published(answer);
            }
            Operation::PublishAvailableSilently => {
                self.driver.publish_silently();
                self.available_published(Notify::NotNeeded);
            }
            Operation::Pop { storage } => self.pop(storage.into()),
            Operation::Complete { which, written } => self.complete(which, written),
            Operation::Unpop { which } => self.unpop(which),
            Operation::PublishUsed => {
                let answer = self.device.publish();
                self.used_published(answer);
            }
            Operation::PublishUsedSilently => {
                self.device.publish_silently();
                self.used_published(Notify::NotNeeded);
            }
            Operation::Reap => self.reap(),
            Operation::ArmDriver => assert_eq!(self.driver.arm() == Arm::Stopped, self.driver_broken),
            Operation::ArmDevice => assert_eq!(self.device.arm() == Arm::Stopped, self.device_broken),
            Operation::SuspendDriver => self.suspend_driver(),
            Operation::SuspendDevice { base } => self.suspend_device(base),
            Operation::MoveDevice => self.move_device(),
            Operation::CrashDevice => self.crash_device(),
            Operation::Reset => {
                self.reset_device();
                self.reset_driver();
            }
        }
    }

    /// A call goes through one chain or one batch once. A broken end accesses nothing.
    fn check_work(&self, storage: usize, driver_was_broken: bool, device_was_broken: bool) {
        // At most: one access to each word of each descriptor of the queue; one fetch for each
        // segment from a table and for the first segment that does not fit; the indices, events and
        // fences.
        let most = 2 * usize::from(self.setup.size) + storage + 1 + 8;
        // A burst that finds a rule broken leaves the chain to the plain call.
        let most = if cfg!(ring_core_bursts) { 2 * most } else { most };
        for (accesses, was_broken) in [
            (self.driver_memory.accesses(), driver_was_broken),
            (self.device_memory.accesses(), device_was_broken),
        ] {
            assert!(accesses.len() <= most, "{} accesses, {most} expected: {accesses:?}", accesses.len());
            assert!(!was_broken || accesses.is_empty(), "a broken end accesses memory: {accesses:?}");
            for access in accesses {
                assert!(access.size() <= 8 * 16, "{access:?}");
            }
        }
    }

    fn add(&mut self, readable: u8, writable: u8, indirect: bool) {
        let cookie = self.next_cookie;
        self.next_cookie += 1;
        let segment = |at: u8| Segment::new(BUFFERS + 8 * u64::from(at), 8);
        let readable: Vec<_> = (0..readable).map(segment).collect();
        let writable: Vec<_> = (0..writable).map(segment).collect();
        let result = if indirect {
            // The tables overlap, as if the other side had overwritten them.
            let table = Segment::new(BUFFERS + cookie % 64, 8 * 16);
            self.driver.add_indirect(table, &readable, &writable, cookie)
        } else {
            self.driver.add(&readable, &writable, cookie)
        };
        match result {
            Ok(_) => {
                assert!(!self.driver_broken, "a broken end accepts a buffer");
                let room = writable.iter().map(|segment| segment.len).sum();
                self.buffers.insert(cookie, (room, false));
            }
            Err(error) => assert_eq!(error.cookie, cookie),
        }
        assert_eq!(usize::from(self.driver.in_flight()), self.buffers.len());
    }

    /// The driver has published, and said whether to notify.
    fn available_published(&mut self, answer: Notify) {
        assert!(!(self.driver_broken && answer.is_needed()), "a broken end notifies");
        if !self.driver_broken {
            self.buffers.values_mut().for_each(|(_, published)| *published = true);
        }
    }

    /// The device has published, and said whether to notify.
    fn used_published(&mut self, answer: Notify) {
        assert!(!(self.device_broken && answer.is_needed()), "a broken end notifies");
        self.unpublished = 0;
    }

    fn reap(&mut self) {
        match self.driver.reap() {
            Ok(None) => {}
            Ok(Some(used)) => {
                assert!(!self.driver_broken, "a broken end returns nothing");
                let buffer = self.buffers.remove(&used.cookie);
                let Some((room, true)) = buffer else { panic!("{used:?} was {buffer:?}") };
                assert!(used.written <= room, "{used:?} has room for {room}");
            }
            Err(violation) => {
                assert!(!self.driver_broken, "{violation} was reported again");
                self.driver_broken = true;
            }
        }
        assert_eq!(usize::from(self.driver.in_flight()), self.buffers.len());
    }

    fn pop(&mut self, storage: usize) {
        let mut segments = vec![Segment::default(); storage];
        let token = match self.device.pop(&mut segments) {
            Ok(None) => return,
            Ok(Some(chain)) => {
                let (readable, writable) = (chain.readable(), chain.writable());
                assert!(readable.len() + writable.len() <= storage);
                for Segment { address, len } in readable.iter().chain(writable) {
                    assert!(*len == 0 || address.checked_add(u64::from(len - 1)).is_some());
                }
                chain.into_token()
            }
            Err(PopError::TooLong(token)) => token,
            Err(PopError::Violation(violation)) => {
                assert!(!self.device_broken, "{violation} was reported again");
                self.device_broken = true;
                return;
            }
        };
        assert!(!self.device_broken, "a broken end returns nothing");
        assert!(!self.tokens.contains(&token), "{token:?} was returned twice");
        self.last = self.device.record(&token).expect("the chain is in flight").serial;
        self.tokens.push(token);
        let held = self.tokens.len() + self.unpublished;
        assert!(held <= self.setup.size.into(), "{held} buffers are taken and not returned");
    }

    fn complete(&mut self, which: u8, written: u8) {
        if self.tokens.is_empty() {
            return;
        }
        let token = self.tokens.swap_remove(usize::from(which) % self.tokens.len());
        let written = u64::from(written) % (u64::from(token.writable()) + 1);
        let written = u32::try_from(written).expect("the remainder of a byte is a byte");
        assert_eq!(self.device.complete(token, written), Ok(()));
        self.unpublished += 1;
    }

    fn unpop(&mut self, which: u8) {
        if self.tokens.is_empty() {
            return;
        }
        let token = self.tokens.swap_remove(usize::from(which) % self.tokens.len());
        match self.device.unpop(token) {
            Ok(()) => self.last -= 1,
            Err(CompleteError::NotNewest(token)) => self.tokens.push(token),
            Err(error) => panic!("{error}"),
        }
    }

    fn suspend_driver(&mut self) {
        let (_, answer) = self.driver.suspend();
        self.available_published(answer);
        self.driver.resume();
    }

    fn suspend_device(&mut self, base: u32) {
        let (position, answer) = self.device.suspend();
        self.used_published(answer);
        let kept = if self.device_broken { None } else { self.tokens.pop() };
        if let Some(token) = kept {
            let Err(CompleteError::Suspended(token)) = self.device.complete(token, 0) else {
                panic!("a chain was completed in a suspended queue");
            };
            self.tokens.push(token);
        }
        // A vring base may come from an untrusted front-end: the result is a position or an error.
        let elsewhere = Position::from_packed_base(base);
        if self.device.resume(elsewhere).is_ok() {
            let _ = self.device.suspend();
        }
        let resumed = self.device.resume(position);
        let expected = if self.device_broken { Err(SetupError::Broken) } else { Ok(()) };
        assert_eq!(resumed, expected, "the queue was suspended at {position:?}");
    }

    /// Moves the queue to a new device end. Does nothing while the old end holds tokens, because
    /// only the end that has taken a chain can complete the chain.
    fn move_device(&mut self) {
        if !self.tokens.is_empty() {
            return;
        }
        let (_, answer) = self.device.suspend();
        self.used_published(answer);
        let base = self.device.vring_base();
        self.device = device_queue(self.device_memory.clone(), &self.setup);
        // The used half of a split base comes from memory, where the other side may have changed
        // it.
        let _ = self.device.resume(self.device.position_of(base));
        self.device_broken = false;
        self.last = 0;
        self.device_memory.accesses();
    }

    /// The next device takes over the chains in flight. It is not told which chains were staged, as
    /// if the journal were wrong, too.
    fn crash_device(&mut self) {
        let used = self.device.position().used;
        let mut records: Vec<_> =
            self.tokens.drain(..).filter_map(|token| self.device.record(&token)).collect();
        records.sort_unstable_by_key(|record| record.serial);
        self.device_memory.accesses();
        self.device = device_queue(self.device_memory.clone(), &self.setup);
        let _ = self.device.has_published(used);
        assert_eq!(self.device.recover(used, self.last), Ok(()));
        let adopt = |record| self.device.adopt(record).expect("the chain was in flight");
        self.tokens = records.into_iter().map(adopt).collect();
        self.device_broken = false;
        self.unpublished = 0;
        let accesses = self.device_memory.accesses();
        assert!(accesses.len() <= 1 + 2 * usize::from(self.setup.size), "{accesses:?}");
    }

    /// Every cookie comes back once.
    fn reset_driver(&mut self) {
        let mut cookies = reset_driver(&mut self.driver, &self.driver_memory, &self.setup);
        cookies.sort_unstable();
        assert!(cookies.iter().eq(self.buffers.keys()), "{cookies:?} {:?}", self.buffers);
        self.buffers.clear();
        self.driver_broken = false;
        self.driver_memory.accesses();
    }

    /// Every token becomes stale.
    fn reset_device(&mut self) {
        reset_device(&mut self.device, &self.device_memory, &self.setup);
        for token in self.tokens.drain(..) {
            assert_eq!(self.device.complete(token, 0), Err(CompleteError::Stale));
        }
        self.device_broken = false;
        self.unpublished = 0;
        self.device_memory.accesses();
    }
}
