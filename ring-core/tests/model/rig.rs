//! Both ends of one queue, next to the reference that they are held to.

use ring_core::error::AddReason;
use ring_core::memory::RawMemory;
use ring_core::{Arm, CompleteError, Features, PopError, Segment, Setup};

use super::reference::{Buffer, Lists, Sleeper, Stream, position};
use crate::support::{
    BUFFERS, DeviceEnd, DriverEnd, device_end, driver_end, reset_device, reset_driver, zero,
};

/// Something that one of the two sides does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// So many segments.
    Add {
        readable: u8,
        writable: u8,
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
            Operation::Add { readable, writable } => self.add(readable, writable),
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
        self.add(1, 0);
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

    fn add(&mut self, readable: u8, writable: u8) {
        let cookie = self.cookies;
        self.cookies += 1;
        // No two segments are alike, and some are empty.
        let segment =
            |at: u8| Segment::new(BUFFERS + (cookie << 16) + 16 * u64::from(at), u32::from(at) * 3 % 8);
        let buffer = Buffer {
            cookie,
            readable: (0..readable).map(segment).collect(),
            writable: (readable..readable + writable).map(segment).collect(),
        };
        let (size, free) = (self.setup.size, self.driver.free());
        let needed = u16::from(readable) + u16::from(writable);
        let refused = match needed {
            0 => Some(AddReason::Empty),
            _ if needed > size => Some(AddReason::TooLong { segments: needed.into(), size }),
            _ if needed > free => Some(AddReason::Full { free, needed }),
            _ => None,
        };
        let result = self.driver.add(&buffer.readable, &buffer.writable, cookie);
        assert_eq!(result.map_err(|error| (error.reason, error.cookie)).err(), refused.map(|r| (r, cookie)));
        if refused.is_none() {
            self.lists.staged.push_back(buffer);
        }
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
                assert!(buffer.count() > storage as u64, "{buffer:?} fits {storage}");
                token
            }
            other => panic!("{buffer:?} is available, but: {other:?}"),
        };
        self.available.taken += self.steps(&buffer);
        self.device_side.wake();
        self.lists.taken.push((token, buffer));
    }

    fn complete(&mut self, which: u8, written: u8) {
        if self.lists.taken.is_empty() {
            return;
        }
        let which = usize::from(which) % self.lists.taken.len();
        let (token, buffer) = self.lists.taken.swap_remove(which);
        let too_much = token.writable() + 1;
        let Err(CompleteError::TooManyBytes { token, written: refused }) =
            self.device.complete(token, too_much)
        else {
            panic!("{too_much} bytes were written to {buffer:?}");
        };
        assert_eq!(refused, too_much);
        let written = u32::from(written) % too_much;
        self.device.complete(token, written).expect("the token is good");
        self.lists.completed.push_back((buffer, written));
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

        let refused = self.driver.add(&[Segment::new(0, 1)], &[], 0).map_err(|error| error.reason);
        assert_eq!(refused, Err(AddReason::Stopped));
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
        let mut segments = [Segment::default(); 8];
        assert_eq!(self.device.pop(&mut segments), Ok(None));
        assert!(!self.device.publish().is_needed());
        if let Some((token, buffer)) = self.lists.taken.pop() {
            let Err(CompleteError::Suspended(token)) = self.device.complete(token, 0) else {
                panic!("{buffer:?} was completed in a queue that is suspended");
            };
            self.lists.taken.push((token, buffer));
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
        zero(memory);
        let mut returned = reset_driver(&mut self.driver, memory, setup);

        let mut in_flight: Vec<u64> = self.lists.in_flight().map(|buffer| buffer.cookie).collect();
        in_flight.sort_unstable();
        returned.sort_unstable();
        assert_eq!(returned, in_flight);
        for (token, buffer) in std::mem::take(&mut self.lists).taken {
            assert_eq!(self.device.complete(token, 0), Err(CompleteError::Stale), "{buffer:?}");
        }
        (self.available, self.used) = (Stream::new(), Stream::new());
        self.driver_side = Sleeper::new(setup.features);
        self.device_side = Sleeper::new(setup.features);
    }
}
