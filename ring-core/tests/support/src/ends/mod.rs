//! Both ends of one queue, and what each end guarantees whatever the other side does.

mod bursts;
mod device_guarantees;
mod driver_guarantees;

use ring_core::memory::RawMemory;
use ring_core::{Arm, CompleteError, Notify, Position, Segment, Setup, SetupError};

use self::device_guarantees::DeviceGuarantees;
use self::driver_guarantees::DriverGuarantees;
use crate::{
    BUFFERS, Burst, HeapDeviceQueue, HeapDriverQueue, Operation, Watched, device_queue, driver_queue,
    reset_device, reset_driver, segments,
};

/// One step of a test in which the other side breaks the rules.
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// An operation that follows the rules, as far as this end can tell.
    Operation(Operation),
    /// Several calls of one end in one burst.
    Burst(Burst),
    /// The driver is reset and the device is not.
    ResetDriver,
    /// The device is reset and the driver is not.
    ResetDevice,
}

/// Both ends of one queue, with the state with which their guarantees are checked.
#[derive(Debug)]
pub struct Ends<'m> {
    setup: Setup,
    /// The view of the driver end, which records the accesses of this end.
    driver_memory: Watched<'m>,
    /// The view of the device end, which records the accesses of this end.
    device_memory: Watched<'m>,
    driver: HeapDriverQueue<Watched<'m>, u64>,
    device: HeapDeviceQueue<Watched<'m>>,
    driver_checks: DriverGuarantees,
    device_checks: DeviceGuarantees,
}

/// The largest amount of work that a step may do.
struct Work {
    /// The number of plain calls.
    calls: usize,
    /// The number of segments that the caller has room for.
    storage: usize,
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
            driver_checks: DriverGuarantees::default(),
            device_checks: DeviceGuarantees::new(setup.size),
        }
    }

    /// Performs one step and checks the guarantees.
    pub fn perform(&mut self, step: Step) {
        let were_broken = (self.driver_checks.broken, self.device_checks.broken);
        let mut work = Work { calls: 1, storage: 0 };
        match step {
            Step::Operation(operation) => {
                if let Operation::Pop { storage: room } = operation {
                    work.storage = room.into();
                }
                self.operate(operation);
            }
            Step::Burst(burst) => {
                work = Work { calls: self.burst(burst), storage: Burst::MOST_STORAGE.into() };
            }
            Step::ResetDriver => self.reset_driver(),
            Step::ResetDevice => self.reset_device(),
        }
        self.check_work(work, were_broken);
    }

    fn operate(&mut self, operation: Operation) {
        match operation {
            Operation::Add { readable, writable, indirect } => self.add(readable, writable, indirect),
            Operation::PublishAvailable => {
                let answer = self.driver.publish();
                self.driver_checks.published(answer);
            }
            Operation::PublishAvailableSilently => {
                self.driver.publish_silently();
                self.driver_checks.published(Notify::NotNeeded);
            }
            Operation::Pop { storage } => self.pop(storage.into()),
            Operation::Complete { which, written } => self.complete(which, written),
            Operation::Unpop { which } => self.unpop(which),
            Operation::PublishUsed => {
                let answer = self.device.publish();
                self.device_checks.published(answer);
            }
            Operation::PublishUsedSilently => {
                self.device.publish_silently();
                self.device_checks.published(Notify::NotNeeded);
            }
            Operation::Reap => self.reap(),
            Operation::ArmDriver => assert_eq!(self.driver.arm() == Arm::Stopped, self.driver_checks.broken),
            Operation::ArmDevice => assert_eq!(self.device.arm() == Arm::Stopped, self.device_checks.broken),
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

    /// Checks that a call processes one chain or one batch only once, and that a broken end
    /// accesses nothing.
    fn check_work(&self, work: Work, (driver_was_broken, device_was_broken): (bool, bool)) {
        // At most, in each call: one access to each word of each descriptor of the queue; one fetch
        // for each segment from a table and for the first segment that does not fit; a table that a
        // burst reads in place; the indices, events and fences.
        let most = 2 * usize::from(self.setup.size) + work.storage + 1 + 8;
        // A burst that finds a rule broken leaves the chain to the plain call.
        let most = if cfg!(ring_core_bursts) || work.calls > 1 { 2 * most } else { most };
        let most = work.calls * most;
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
        let cookie = self.driver_checks.cookie();
        let [readable, writable] = [readable, writable].map(|count| segments(BUFFERS, count));
        let result = if indirect {
            self.driver.add_indirect(table(cookie), &readable, &writable, cookie)
        } else {
            self.driver.add(&readable, &writable, cookie)
        };
        self.driver_checks.added(cookie, &writable, result);
        self.driver_checks.in_flight(self.driver.in_flight());
    }

    fn reap(&mut self) {
        self.driver_checks.reaped(self.driver.reap());
        self.driver_checks.in_flight(self.driver.in_flight());
    }

    fn pop(&mut self, storage: usize) {
        let mut segments = vec![Segment::default(); storage];
        let popped = self.device.pop(&mut segments);
        if let Some(token) = self.device_checks.popped(storage, popped) {
            let serial = self.device.record(&token).expect("the chain is in flight").serial;
            self.device_checks.keep(token, serial);
        }
    }

    fn complete(&mut self, which: u8, written: u8) {
        if let Some((token, written)) = self.device_checks.choose(which, written) {
            assert_eq!(self.device.complete(token, written), Ok(()));
            self.device_checks.unpublished += 1;
        }
    }

    fn unpop(&mut self, which: u8) {
        let Some(token) = self.device_checks.remove(which) else { return };
        match self.device.unpop(token) {
            Ok(()) => self.device_checks.last -= 1,
            Err(CompleteError::NotNewest(token)) => self.device_checks.tokens.push(token),
            Err(error) => panic!("{error}"),
        }
    }

    fn suspend_driver(&mut self) {
        let (_, answer) = self.driver.suspend();
        self.driver_checks.published(answer);
        self.driver.resume();
    }

    fn suspend_device(&mut self, base: u32) {
        let (position, answer) = self.device.suspend();
        self.device_checks.published(answer);
        let kept = if self.device_checks.broken { None } else { self.device_checks.tokens.pop() };
        if let Some(token) = kept {
            let Err(CompleteError::Suspended(token)) = self.device.complete(token, 0) else {
                panic!("a chain was completed in a suspended queue");
            };
            self.device_checks.tokens.push(token);
        }
        // A vring base may come from an untrusted front-end: the result is a position or an error.
        let elsewhere = Position::from_packed_base(base);
        if self.device.resume(elsewhere).is_ok() {
            let _ = self.device.suspend();
        }
        let resumed = self.device.resume(position);
        let expected = if self.device_checks.broken { Err(SetupError::Broken) } else { Ok(()) };
        assert_eq!(resumed, expected, "the queue was suspended at {position:?}");
    }

    /// Moves the queue to a new device end. Does nothing while the old end holds tokens, because
    /// only the end that has taken a chain can complete the chain.
    fn move_device(&mut self) {
        if !self.device_checks.tokens.is_empty() {
            return;
        }
        let (_, answer) = self.device.suspend();
        self.device_checks.published(answer);
        let base = self.device.vring_base();
        self.device = device_queue(self.device_memory.clone(), &self.setup);
        // The used half of a split base comes from memory, where the other side may have changed
        // it.
        let _ = self.device.resume(self.device.position_of(base));
        self.device_checks.broken = false;
        self.device_checks.last = 0;
        self.device_memory.accesses();
    }

    /// Lets the next device take over the chains in flight. The next device is not told which
    /// chains were staged, as if the journal were wrong, too.
    fn crash_device(&mut self) {
        let used = self.device.position().used;
        let mut records: Vec<_> =
            self.device_checks.tokens.drain(..).filter_map(|token| self.device.record(&token)).collect();
        records.sort_unstable_by_key(|record| record.serial);
        self.device_memory.accesses();
        self.device = device_queue(self.device_memory.clone(), &self.setup);
        let _ = self.device.has_published(used);
        assert_eq!(self.device.recover(used, self.device_checks.last), Ok(()));
        let adopt = |record| self.device.adopt(record).expect("the chain was in flight");
        self.device_checks.tokens = records.into_iter().map(adopt).collect();
        self.device_checks.broken = false;
        self.device_checks.unpublished = 0;
        let accesses = self.device_memory.accesses();
        assert!(accesses.len() <= 1 + 2 * usize::from(self.setup.size), "{accesses:?}");
    }

    /// Resets the driver. Every cookie is returned exactly once.
    fn reset_driver(&mut self) {
        let mut cookies = reset_driver(&mut self.driver, &self.driver_memory, &self.setup);
        cookies.sort_unstable();
        assert!(
            cookies.iter().eq(self.driver_checks.buffers.keys()),
            "{cookies:?} {:?}",
            self.driver_checks.buffers
        );
        self.driver_checks.buffers.clear();
        self.driver_checks.broken = false;
        self.driver_memory.accesses();
    }

    /// Resets the device. Every token becomes stale.
    fn reset_device(&mut self) {
        reset_device(&mut self.device, &self.device_memory, &self.setup);
        for token in self.device_checks.tokens.drain(..) {
            assert_eq!(self.device.complete(token, 0), Err(CompleteError::Stale));
        }
        self.device_checks.broken = false;
        self.device_checks.unpublished = 0;
        self.device_memory.accesses();
    }
}

/// Returns the memory of an indirect table. The tables overlap, as if the other side had
/// overwritten them.
const fn table(cookie: u64) -> Segment {
    Segment::new(BUFFERS + cookie % 64, 8 * 16)
}
