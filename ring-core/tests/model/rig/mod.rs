//! Both ends of one queue, next to the reference that they are compared with.

mod device;
mod driver;

use ring_core::memory::RawMemory;
use ring_core::{CompleteError, Features, Position, Setup};
use support::{Anywhere, HeapDeviceQueue, HeapDriverQueue, Operation, queues, reset_device, reset_driver};

use super::reference::{Buffer, Lists, Sleeper, State, Stream, position};

pub(crate) struct Rig<'m> {
    memory: Anywhere<RawMemory<'m>>,
    setup: Setup,
    driver: HeapDriverQueue<Anywhere<RawMemory<'m>>, u64>,
    device: HeapDeviceQueue<Anywhere<RawMemory<'m>>>,
    /// The cookie of the next buffer.
    next_cookie: u64,
    /// The serial of the chain that the device has taken last and not given back.
    last: u64,
    lists: Lists,
    available: Stream,
    used: Stream,
    driver_side: Sleeper,
    device_side: Sleeper,
}

impl<'m> Rig<'m> {
    pub(crate) fn new(memory: Anywhere<RawMemory<'m>>, setup: Setup) -> Self {
        let (driver, device) = queues(&memory, &setup);
        Self {
            driver,
            device,
            memory,
            setup,
            next_cookie: 0,
            last: 0,
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
            Operation::PublishAvailableSilently => self.publish_available_silently(),
            Operation::Pop { storage } => self.pop(storage.into()),
            Operation::Complete { which, written } => self.complete(which, written),
            Operation::Unpop { which } => self.unpop(which),
            Operation::PublishUsed => self.publish_used(),
            Operation::PublishUsedSilently => self.publish_used_silently(),
            Operation::Reap => self.reap(),
            Operation::ArmDriver => self.arm_driver(),
            Operation::ArmDevice => self.arm_device(),
            Operation::SuspendDriver => self.suspend_driver(),
            Operation::SuspendDevice { base } => self.suspend_device(base),
            Operation::MoveDevice => self.move_device(),
            Operation::CrashDevice => self.crash_device(),
            Operation::Reset => self.reset(),
        }
        let free = self.lists.in_flight().fold(u64::from(self.setup.size), |free, b| free - b.count());
        assert_eq!(u64::from(self.driver.free()), free);
        assert_eq!(usize::from(self.driver.in_flight()), self.lists.in_flight().count());
    }

    /// Sends one buffer to the device and back.
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

    fn reset(&mut self) {
        let Self { memory, setup, .. } = self;
        reset_device(&mut self.device, memory, setup);
        let mut returned = reset_driver(&mut self.driver, memory, setup);

        let mut in_flight: Vec<u64> = self.lists.in_flight().map(|buffer| buffer.cookie).collect();
        in_flight.sort_unstable();
        returned.sort_unstable();
        assert_eq!(returned, in_flight);
        for taken in std::mem::take(&mut self.lists).taken {
            if let State::Open(token) = taken.state {
                assert_eq!(self.device.complete(token, 0), Err(CompleteError::Stale));
            }
        }
        (self.available, self.used) = (Stream::new(), Stream::new());
        self.driver_side = Sleeper::new(setup.features);
        self.device_side = Sleeper::new(setup.features);
    }

    /// Returns the number of steps of a buffer in either stream.
    fn steps(&self, buffer: &Buffer) -> u64 {
        if self.is(Features::RING_PACKED) { buffer.count() } else { 1 }
    }

    fn is(&self, features: Features) -> bool {
        self.setup.features.contains(features)
    }

    /// Returns the position after these numbers of steps.
    fn position(&self, available: u64, used: u64) -> Position {
        position(available, used, self.setup.size, self.setup.features)
    }
}
