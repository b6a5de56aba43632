//! A queue of a device: ring-core's driver end, its memory, and statistics.

use ring_core::driver::{Slot, Used};
use ring_core::memory::RawMemory;
use ring_core::{AreaLayout, Areas, Arm, DriverQueue, QueueSize, Segment, Setup, packed, split};

use crate::combination::Combination;
use crate::error::CheckError;
use crate::memory::Pool;
use crate::mmio::Device;

/// How often an index has to wrap around for a check to be meaningful.
pub(crate) const MIN_WRAPS: u32 = 3;

/// The number of steps after which the index of a split queue wraps around.
const SPLIT_INDEX: u64 = 1 << 16;

/// The size of a descriptor in an indirect table, in bytes.
const DESCRIPTOR: u32 = 16;

/// What a check requires of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The queue's index in its device.
    pub(crate) index: u16,
    /// The queue's size: a power of two, because some combinations use a split queue.
    pub(crate) size: u16,
    /// The maximum number of requests in flight.
    pub(crate) requests: u16,
    /// The maximum number of segments of a request.
    pub(crate) segments: u16,
}

/// One queue. Requests are identified by their number, which is less than [`Plan::requests`].
#[derive(Debug)]
pub(crate) struct Queue<'s> {
    driver: DriverQueue<RawMemory<'static>, &'s mut [Slot<u16>], u16>,
    plan: Plan,
    combination: Combination,
    /// One indirect table for each request.
    tables: Segment,
    /// The number of buffers added.
    buffers: u32,
    /// The number of steps that the index has made: buffers in a split queue, descriptors in a
    /// packed queue.
    steps: u64,
}

impl<'s> Queue<'s> {
    /// Sets up the queue: determines the memory it needs, allocates the memory, and informs the
    /// device.
    pub(crate) fn start(
        device: &Device,
        plan: Plan,
        combination: Combination,
        pool: &mut Pool,
        slots: &'s mut [Slot<u16>],
    ) -> Result<Self, CheckError> {
        let size = QueueSize::split(plan.size).map_err(ring_core::SetupError::Size)?;
        let layout = if combination.is_packed() { packed::layout(size) } else { split::layout(size) };
        let mut take = |area: AreaLayout| {
            // No area of a queue of 32768 is larger than 1 MiB.
            let bytes = |number| u32::try_from(number).unwrap_or(u32::MAX);
            pool.take(bytes(area.size), bytes(area.align)).map(|segment| segment.address)
        };
        let setup = Setup::new(
            plan.size,
            combination.features(),
            Areas {
                descriptor: take(layout.descriptor)?,
                driver: take(layout.driver)?,
                device: take(layout.device)?,
            },
        );
        let driver = DriverQueue::new(pool.memory().clone(), &setup, slots)?;
        device.start_queue(plan.index, &setup)?;

        let table = u32::from(plan.segments) * DESCRIPTOR;
        let tables = pool.take(u32::from(plan.requests) * table, DESCRIPTOR)?;
        Ok(Self { driver, plan, combination, tables, buffers: 0, steps: 0 })
    }

    /// Returns whether a request of `segments` segments can be added now.
    pub(crate) fn has_room(&self, segments: usize) -> bool {
        let needed = if self.combination.is_indirect() { 1 } else { segments };
        needed <= usize::from(self.driver.free())
    }

    /// Stages a request, through its indirect table if the feature was negotiated.
    pub(crate) fn add(
        &mut self,
        request: u16,
        readable: &[Segment],
        writable: &[Segment],
    ) -> Result<(), CheckError> {
        let before = self.driver.free();
        if self.combination.is_indirect() {
            let bytes = u32::from(self.plan.segments) * DESCRIPTOR;
            let table = Segment::new(self.tables.address + u64::from(request) * u64::from(bytes), bytes);
            self.driver.add_indirect(table, readable, writable, request)?;
        } else {
            self.driver.add(readable, writable, request)?;
        }
        self.buffers += 1;
        self.steps += if self.combination.is_packed() { u64::from(before - self.driver.free()) } else { 1 };
        Ok(())
    }

    /// Makes the staged requests available, and notifies the device if it asks for notifications.
    pub(crate) fn publish(&mut self, device: &mut Device) {
        if self.driver.publish().is_needed() {
            device.notify(self.plan.index);
        }
    }

    /// Stages all requests in one burst, each with the writable segment that `buffer` returns.
    pub(crate) fn add_all(&mut self, buffer: impl Fn(u16) -> Segment) -> Result<(), CheckError> {
        let mut burst = self.driver.burst();
        for request in 0..self.plan.requests {
            burst.add(&[], &[buffer(request)], request)?;
        }
        drop(burst);
        self.buffers += u32::from(self.plan.requests);
        self.steps += u64::from(self.plan.requests);
        Ok(())
    }

    /// Takes back the used requests in one burst, and passes each request to `each`. Returns
    /// whether there was a used request.
    ///
    /// No request is added meanwhile, so the call ends even if the device is fast.
    pub(crate) fn reap_all(
        &mut self,
        mut each: impl FnMut(Used<u16>) -> Result<(), CheckError>,
    ) -> Result<bool, CheckError> {
        let (mut burst, mut found) = (self.driver.burst(), false);
        while let Some(used) = burst.reap()? {
            each(used)?;
            found = true;
        }
        Ok(found)
    }

    /// Asks for an interrupt.
    pub(crate) fn arm(&mut self) -> Arm {
        self.driver.arm()
    }

    /// Takes back the next request. If there is none, makes the staged requests available, and
    /// sleeps.
    ///
    /// A request must be in flight or staged; otherwise the call does not return.
    pub(crate) fn next(&mut self, device: &mut Device) -> Result<Used<u16>, CheckError> {
        loop {
            if let Some(used) = self.driver.reap()? {
                return Ok(used);
            }
            self.publish(device);
            if self.driver.arm() == Arm::Armed {
                device.sleep()?;
            }
        }
    }

    /// Returns the number of buffers added so far.
    pub(crate) const fn buffers(&self) -> u32 {
        self.buffers
    }

    /// Returns how often the queue's index wrapped around: the 16-bit index of a split queue, or
    /// the cursor of a packed queue, with its wrap counter.
    pub(crate) fn wraps(&self) -> u32 {
        let steps = if self.combination.is_packed() { self.plan.size.into() } else { SPLIT_INDEX };
        u32::try_from(self.steps / steps).unwrap_or(u32::MAX)
    }

    /// Returns the number of laps around the ring, in either format.
    pub(crate) fn laps(&self) -> u32 {
        u32::try_from(self.steps / u64::from(self.plan.size)).unwrap_or(u32::MAX)
    }
}
