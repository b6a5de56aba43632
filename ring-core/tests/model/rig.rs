//! Both ends of one queue, next to the reference that they are held to.

use std::mem;

use ring_core::error::AddErrorKind;
use ring_core::memory::RawMemory;
use ring_core::{Arm, CompleteError, Features, PopError, Segment, Setup};

use super::reference::{Buffer, ChainRecord, Lists, Sleeper, Stream, position};
use crate::support::{BUFFERS, DeviceEnd, DriverEnd, device_end, driver_end, reset_device, reset_driver};

/// Room for the table of one buffer.
const TABLE_BYTES: u32 = 16 * 9;

/// Something that one of the two sides does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// So many segments; in the queue, or in a table.
    Add {
        readable: u8,
        writable: u8,
        indirect: bool,
    },
    PublishAvailable,
    PublishAvailableSilently,
    /// With room for so many segments.
    Pop {
        storage: u8,
    },
    /// One of the chains that were taken, and how much was written; both as remainders.
    Complete {
        which: u8,
        written: u8,
    },
    PublishUsed,
    PublishUsedSilently,
    Reap,
    ArmDriver,
    ArmDevice,
    /// Suspend, find everything at rest, and resume.
    SuspendDriver,
    SuspendDevice,
    /// Another device takes over, by the vring base.
    MoveDevice,
    Reset,
}

pub(crate) struct Rig<'m> {
    memory: RawMemory<'m>,
    setup: Setup,
    driver: DriverEnd<RawMemory<'m>, u64>,
    device: DeviceEnd<RawMemory<'m>>,
    cookies: u64,
    lists: Lists,
    available: Stream,
    used: Stream,
    driver_side: Sleeper,
    device_side: Sleeper,
}

impl<'m> Rig<'m> {
    pub(crate) fn new(memory: RawMemory<'m>, setup: Setup) -> Self {
        Self {
            driver: driver_end(memory.clone(), &setup),
            device: device_end(memory.clone(), &setup),
            memory,
            setup,
            cookies: 0,
            lists: Lists::default(),
            available: Stream::new(),
            used: Stream::new(),
            driver_side: Sleeper::new(setup.features),
            device_side: Sleeper::new(setup.features),
        }
    }

    pub(crate) fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Add { readable, writable, indirect } => self.add(readable, writable, indirect),
            Operation::PublishAvailable => self.publish_available(),
            Operation::PublishAvailableSilently => {
                self.driver.publish_silently();
                self.make_available();
            }
            Operation::Pop { storage } => self.pop(storage.into()),
            Operation::Complete { which, written } => self.complete(which, written),
            Operation::PublishUsed => self.publish_used(),
            Operation::PublishUsedSilently => {
                self.device.publish_silently();
                self.make_used();
            }
            Operation::Reap => self.reap(),
            Operation::ArmDriver => {
                let empty = self.lists.used.is_empty();
                assert_eq!(self.driver.arm() == Arm::Armed, empty);
                self.driver_side.arm(self.used.taken, empty);
            }
            Operation::ArmDevice => {
                let empty = self.lists.available.is_empty();
                assert_eq!(self.device.arm() == Arm::Armed, empty);
                self.device_side.arm(self.available.taken, empty);
            }
            Operation::SuspendDriver => self.suspend_driver(),
            Operation::SuspendDevice => self.suspend_device(),
            Operation::MoveDevice => self.move_device(),
            Operation::Reset => self.reset(),
        }
        let free = self.lists.in_flight().fold(u64::from(self.setup.size), |free, b| free - b.count());
        assert_eq!(u64::from(self.driver.free()), free);
        assert_eq!(usize::from(self.driver.in_flight()), self.lists.in_flight().count());
    }

    /// One buffer there and back.
    pub(crate) fn transfer(&mut self) {
        self.add(1, 0, false);
        self.publish_available();
        self.pop(1);
        self.complete(0, 0);
        self.publish_used();
        self.reap();
    }

    /// Brings every buffer back to the driver.
    pub(crate) fn drain(&mut self) {
        self.publish_available();
        while !self.lists.available.is_empty() {
            self.pop(self.setup.size.into());
        }
        while !self.lists.taken.is_empty() {
            self.complete(0, 0);
        }
        self.publish_used();
        while !self.lists.used.is_empty() {
            self.reap();
        }
        assert_eq!((self.driver.free(), self.driver.in_flight()), (self.setup.size, 0));
    }

    /// The steps that a buffer makes in either stream.
    fn steps(&self, buffer: &Buffer) -> u64 {
        if self.setup.features.contains(Features::RING_PACKED) { buffer.count() } else { 1 }
    }

    fn add(&mut self, readable: u8, writable: u8, indirect: bool) {
        let cookie = self.cookies;
        self.cookies += 1;
        // No two segments are alike, and some are empty.
        let segment = |at: u8| Segment::new((cookie << 16) + 16 * u64::from(at), u32::from(at) * 3 % 8);
        let buffer = Buffer {
            cookie,
            readable: (0..readable).map(segment).collect(),
            writable: (readable..readable + writable).map(segment).collect(),
            table: indirect.then(|| self.unused_table()),
        };
        let refused = self.refusal(&buffer);
        let result = match buffer.table {
            None => self.driver.add(&buffer.readable, &buffer.writable, cookie),
            Some(table) => {
                let table = Segment::new(table, TABLE_BYTES);
                self.driver.add_indirect(table, &buffer.readable, &buffer.writable, cookie)
            }
        };
        assert_eq!(result.map_err(|error| (error.kind, error.cookie)).err(), refused.map(|r| (r, cookie)));
        if refused.is_none() {
            self.lists.staged.push_back(buffer);
        }
    }

    /// Why a buffer cannot be added now.
    fn refusal(&self, buffer: &Buffer) -> Option<AddErrorKind> {
        let (size, free, segments) = (self.setup.size, self.driver.free(), buffer.segments());
        let needed = u16::try_from(buffer.count()).expect("a buffer has a few segments");
        if segments == 0 {
            Some(AddErrorKind::Empty)
        } else if segments > size.into() {
            Some(AddErrorKind::TooLong { segments, size })
        } else if buffer.table.is_some() && !self.setup.features.contains(Features::INDIRECT_DESC) {
            Some(AddErrorKind::IndirectNotNegotiated)
        } else if needed > free {
            Some(AddErrorKind::Full { free, needed })
        } else {
            None
        }
    }

    /// Memory for a table that no buffer in flight uses.
    fn unused_table(&self) -> u64 {
        let used: Vec<u64> = self.lists.in_flight().filter_map(|buffer| buffer.table).collect();
        // The odd address shows that a table needs no alignment.
        let tables = (BUFFERS + 1..).step_by(TABLE_BYTES as usize);
        tables.into_iter().find(|table| !used.contains(table)).expect("there is no end of addresses")
    }

    fn publish_available(&mut self) {
        let answer = self.driver.publish();
        self.make_available();
        self.available.decide(&mut self.device_side, answer);
    }

    fn make_available(&mut self) {
        while let Some(buffer) = self.lists.staged.pop_front() {
            self.available.published += self.steps(&buffer);
            self.lists.available.push_back(buffer);
        }
    }

    fn pop(&mut self, storage: usize) {
        let mut segments = vec![Segment::default(); storage];
        let popped = self.device.pop(&mut segments);
        let Some(buffer) = self.lists.available.pop_front() else {
            assert_eq!(popped, Ok(None));
            return;
        };
        let token = match popped {
            Ok(Some(chain)) => {
                assert_eq!((chain.readable(), chain.writable()), (&*buffer.readable, &*buffer.writable));
                let token = chain.into_token();
                assert_eq!(token.writable(), buffer.room());
                token
            }
            Err(PopError::TooLong(token)) => {
                assert!(buffer.segments() > storage, "{buffer:?} fits {storage}");
                token
            }
            other => panic!("{buffer:?} is available, but: {other:?}"),
        };
        self.available.taken += self.steps(&buffer);
        self.device_side.wake();
        self.lists.taken.push_back(ChainRecord { buffer, state: Ok(token) });
    }

    fn complete(&mut self, which: u8, written: u8) {
        let mut open: Vec<&mut ChainRecord> =
            self.lists.taken.iter_mut().filter(|t| t.state.is_ok()).collect();
        if open.is_empty() {
            return;
        }
        let taken = open.remove(usize::from(which) % open.len());
        let Ok(token) = mem::replace(&mut taken.state, Err(0)) else { unreachable!("it was filtered") };
        let too_much = token.writable() + 1;
        let Err(CompleteError::TooManyBytes { token, written: refused }) =
            self.device.complete(token, too_much)
        else {
            panic!("{too_much} bytes were written to {:?}", taken.buffer);
        };
        assert_eq!(refused, too_much);
        let written = u32::from(written) % too_much;
        self.device.complete(token, written).expect("the token is good");
        taken.state = Err(written);
        self.pass_on();
    }

    /// Moves on what has been completed: in any order, or in the order in which it was taken.
    fn pass_on(&mut self) {
        let Lists { taken, completed, .. } = &mut self.lists;
        let in_order = self.setup.features.contains(Features::IN_ORDER);
        while let Some(index) = taken.iter().position(|t| t.state.is_err() || in_order) {
            let Some(ChainRecord { buffer, state: Err(written) }) = taken.get(index) else { return };
            completed.push_back((buffer.clone(), *written));
            taken.remove(index);
        }
    }

    fn publish_used(&mut self) {
        let answer = self.device.publish();
        self.make_used();
        self.used.decide(&mut self.driver_side, answer);
    }

    fn make_used(&mut self) {
        while let Some((buffer, written)) = self.lists.completed.pop_front() {
            self.used.published += self.steps(&buffer);
            self.lists.used.push_back((buffer, written));
        }
    }

    fn reap(&mut self) {
        let reaped = self.driver.reap().expect("the device keeps to the rules");
        let expected = self.lists.used.pop_front();
        assert_eq!(
            reaped.map(|used| (used.cookie, used.written)),
            expected.as_ref().map(|(buffer, written)| (buffer.cookie, *written))
        );
        if let Some((buffer, _)) = expected {
            self.used.taken += self.steps(&buffer);
            self.driver_side.wake();
        }
    }

    fn suspend_driver(&mut self) {
        let Setup { size, features, .. } = self.setup;
        let (stands, answer) = self.driver.suspend();
        self.make_available();
        self.available.decide(&mut self.device_side, answer);
        assert_eq!(stands, position(self.available.published, self.used.taken, size, features));

        let refused = self.driver.add(&[Segment::new(0, 1)], &[], 0).map_err(|error| error.kind);
        assert_eq!(refused, Err(AddErrorKind::NotRunning));
        assert_eq!(self.driver.reap(), Ok(None));
        assert!(!self.driver.publish().is_needed());

        self.driver.resume();
        self.available.resume();
        self.driver_side.resume();
    }

    /// Stops the device, and checks where it stands.
    fn stop_device(&mut self) {
        let Setup { size, features, .. } = self.setup;
        let (stands, answer) = self.device.suspend();
        self.make_used();
        self.used.decide(&mut self.driver_side, answer);
        assert_eq!(stands, position(self.available.taken, self.used.published, size, features));
        assert_eq!(self.device.position_of(self.device.vring_base()), stands);
        self.used.resume();
        self.device_side.resume();
    }

    fn suspend_device(&mut self) {
        self.stop_device();
        assert_eq!(self.device.pop(&mut []), Ok(None));
        assert!(!self.device.publish().is_needed());
        for ChainRecord { state, .. } in &mut self.lists.taken {
            if let Ok(token) = mem::replace(state, Err(0)) {
                let Err(CompleteError::Suspended(token)) = self.device.complete(token, 0) else {
                    panic!("a chain was completed in a queue that is suspended");
                };
                *state = Ok(token);
                break;
            }
        }
        self.device.resume(self.device.position()).expect("it has just stood there");
    }

    /// Only the one who took a chain can complete it, so this needs all of them to be completed.
    fn move_device(&mut self) {
        if self.lists.taken.is_empty() {
            self.stop_device();
            let base = self.device.vring_base();
            self.device = device_end(self.memory.clone(), &self.setup);
            self.device.resume(self.device.position_of(base)).expect("another device has stood there");
        }
    }

    fn reset(&mut self) {
        let Self { memory, setup, .. } = self;
        reset_device(&mut self.device, memory, setup);
        let mut returned = reset_driver(&mut self.driver, memory, setup);

        let mut in_flight: Vec<u64> = self.lists.in_flight().map(|buffer| buffer.cookie).collect();
        in_flight.sort_unstable();
        returned.sort_unstable();
        assert_eq!(returned, in_flight);
        for token in mem::take(&mut self.lists).taken.into_iter().filter_map(|taken| taken.state.ok()) {
            assert_eq!(self.device.complete(token, 0), Err(CompleteError::Stale));
        }
        (self.available, self.used) = (Stream::new(), Stream::new());
        self.driver_side = Sleeper::new(setup.features);
        self.device_side = Sleeper::new(setup.features);
    }
}
