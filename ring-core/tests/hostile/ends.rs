//! The two ends, and what each of them promises whatever the other side does.

use std::collections::BTreeMap;

use ring_core::memory::RawMemory;
use ring_core::{Arm, CompleteError, PopError, Position, Segment, Setup, SetupError, Token};

use crate::support::{BUFFERS, DeviceEnd, DriverEnd, device_end, driver_end, reset_device, reset_driver};
use crate::watched::{Access, Watched};

/// Something that one of the two ends does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Add {
        readable: u8,
        writable: u8,
        indirect: bool,
    },
    PublishAvailable,
    Pop {
        storage: u8,
    },
    Complete {
        which: u8,
        written: u8,
    },
    Unpop {
        which: u8,
    },
    PublishUsed,
    Reap,
    ArmDriver,
    ArmDevice,
    /// Suspend and resume.
    RestDriver,
    /// Suspend and resume, after an attempt to resume somewhere else.
    RestDevice {
        base: u32,
    },
    /// Both ends begin anew, as they should.
    Reset,
    ResetDriver,
    ResetDevice,
    /// The device dies, and another one goes on for it.
    Die,
}

pub(crate) struct Ends<'m> {
    setup: Setup,
    /// Each end has its own view, which knows what that end did.
    driver_memory: Watched<'m>,
    device_memory: Watched<'m>,
    driver: DriverEnd<Watched<'m>, u64>,
    device: DeviceEnd<Watched<'m>>,
    driver_broken: bool,
    device_broken: bool,
    next_cookie: u64,
    /// The room of each buffer that the driver has not got back, by cookie; and whether it is published.
    buffers: BTreeMap<u64, (u32, bool)>,
    tokens: Vec<Token>,
    /// The serial of the chain that was taken last.
    last: u64,
    /// Chains that were completed, and not yet published.
    unpublished: usize,
}

impl<'m> Ends<'m> {
    pub(crate) fn new(memory: &RawMemory<'m>, setup: Setup) -> Self {
        let (driver_memory, device_memory) = (Watched::new(memory.clone()), Watched::new(memory.clone()));
        Self {
            setup,
            driver: driver_end(driver_memory.clone(), &setup),
            device: device_end(device_memory.clone(), &setup),
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

    pub(crate) fn perform(&mut self, operation: Operation) {
        let (driver_was_idle, device_was_idle) = (self.driver_broken, self.device_broken);
        let mut storage = 0;
        match operation {
            Operation::Add { readable, writable, indirect } => self.add(readable, writable, indirect),
            Operation::PublishAvailable => {
                let answer = self.driver.publish();
                assert!(!(driver_was_idle && answer.is_needed()));
                self.mark_published();
            }
            Operation::Pop { storage: room } => {
                storage = room.into();
                self.pop(storage);
            }
            Operation::Complete { which, written } => self.complete(which, written),
            Operation::Unpop { which } => self.unpop(which),
            Operation::PublishUsed => {
                let answer = self.device.publish();
                assert!(!(device_was_idle && answer.is_needed()));
                self.unpublished = 0;
            }
            Operation::Reap => self.reap(),
            Operation::ArmDriver => {
                let answer = self.driver.arm();
                assert!(!driver_was_idle || answer == Arm::Armed);
            }
            Operation::ArmDevice => {
                let answer = self.device.arm();
                assert!(!device_was_idle || answer == Arm::Armed);
            }
            Operation::RestDriver => {
                let (_, answer) = self.driver.suspend();
                assert!(!(driver_was_idle && answer.is_needed()));
                self.mark_published();
                self.driver.resume();
            }
            Operation::RestDevice { base } => self.rest_device(base),
            Operation::Reset => {
                self.reset_device();
                self.reset_driver();
            }
            Operation::ResetDriver => self.reset_driver(),
            Operation::ResetDevice => self.reset_device(),
            Operation::Die => self.die(),
        }
        self.check_work(storage, driver_was_idle, device_was_idle);
    }

    /// No call does more than go through a chain or a batch once, and a broken end does nothing at all.
    fn check_work(&self, storage: usize, driver_was_idle: bool, device_was_idle: bool) {
        // One look at each word of each descriptor of the queue, one fetch for each segment from a table and
        // one for the first that does not fit, and the indices, events and fences besides.
        let most = 2 * usize::from(self.setup.size) + storage + 1 + 8;
        for (accesses, was_idle) in [
            (self.driver_memory.accesses(), driver_was_idle),
            (self.device_memory.accesses(), device_was_idle),
        ] {
            assert!(accesses.len() <= most, "{} accesses, {most} expected: {accesses:?}", accesses.len());
            assert!(!was_idle || accesses.is_empty(), "a broken end does not rest: {accesses:?}");
            for access in accesses {
                if let Access::Read { len, .. } | Access::Write { len, .. } = access {
                    assert!(len <= 8 * 16, "{access:?}");
                }
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
            // The tables overlap, as if the vandal had got at them.
            let table = Segment::new(BUFFERS + cookie % 64, 8 * 16);
            self.driver.add_indirect(table, &readable, &writable, cookie)
        } else {
            self.driver.add(&readable, &writable, cookie)
        };
        match result {
            Ok(()) => {
                assert!(!self.driver_broken, "a broken end takes no buffer");
                let room = writable.iter().map(|segment| segment.len).sum();
                self.buffers.insert(cookie, (room, false));
            }
            Err(error) => assert_eq!(error.cookie, cookie),
        }
        assert_eq!(usize::from(self.driver.in_flight()), self.buffers.len());
    }

    fn mark_published(&mut self) {
        if !self.driver_broken {
            self.buffers.values_mut().for_each(|(_, published)| *published = true);
        }
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
        assert!(!self.tokens.contains(&token), "{token:?} was made twice");
        self.last = self.device.record(&token).expect("it is in flight").serial;
        self.tokens.push(token);
        let held = self.tokens.len() + self.unpublished;
        assert!(held <= self.setup.size.into(), "{held} buffers were taken and not returned");
    }

    fn complete(&mut self, which: u8, written: u8) {
        if self.tokens.is_empty() {
            return;
        }
        let token = self.tokens.swap_remove(usize::from(which) % self.tokens.len());
        let written = u64::from(written) % (u64::from(token.writable()) + 1);
        let written = u32::try_from(written).expect("it was a byte");
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

    /// The next device takes over what this one was working on. It does not learn of what was staged, as if the
    /// journal had been lied to, too.
    fn die(&mut self) {
        let used = self.device.position().used;
        let mut taken: Vec<_> =
            self.tokens.drain(..).filter_map(|token| self.device.record(&token)).collect();
        taken.sort_unstable_by_key(|taken| taken.serial);
        self.device_memory.accesses();
        self.device = device_end(self.device_memory.clone(), &self.setup);
        let _ = self.device.has_published(used);
        assert_eq!(self.device.recover(used, self.last), Ok(()));
        let adopt = |taken| self.device.adopt(taken).expect("it was in flight");
        self.tokens = taken.into_iter().map(adopt).collect();
        self.device_broken = false;
        self.unpublished = 0;
        let accesses = self.device_memory.accesses();
        assert!(accesses.len() <= 1 + 2 * usize::from(self.setup.size), "{accesses:?}");
    }

    fn rest_device(&mut self, base: u32) {
        let (position, answer) = self.device.suspend();
        assert!(!(self.device_broken && answer.is_needed()));
        self.unpublished = 0;
        if !self.device_broken
            && let Some(token) = self.tokens.pop()
        {
            let Err(CompleteError::Suspended(token)) = self.device.complete(token, 0) else {
                panic!("a chain was completed in a queue that is suspended");
            };
            self.tokens.push(token);
        }
        // What a front-end sends is not to be trusted either; the result is a position or an error.
        let elsewhere = Position::from_packed_base(base);
        if self.device.resume(elsewhere).is_ok() {
            let _ = self.device.suspend();
        }
        let resumed = self.device.resume(position);
        let expected = if self.device_broken { Err(SetupError::Broken) } else { Ok(()) };
        assert_eq!(resumed, expected, "it has just stood there");
    }

    /// All cookies come back, each once.
    fn reset_driver(&mut self) {
        let mut cookies = reset_driver(&mut self.driver, &self.driver_memory, &self.setup);
        cookies.sort_unstable();
        assert!(cookies.iter().eq(self.buffers.keys()), "{cookies:?} {:?}", self.buffers);
        self.buffers.clear();
        self.driver_broken = false;
        self.driver_memory.accesses();
    }

    /// All tokens become stale.
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
