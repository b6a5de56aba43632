//! A queue of a device: ring-core's driver end, the memory it needs, and what was counted.

use ring_core::driver::{Slot, Used};
use ring_core::memory::RawMemory;
use ring_core::{AreaLayout, Areas, Arm, DriverQueue, QueueSize, Segment, Setup, packed, split};

use crate::combination::Combination;
use crate::failure::Failure;
use crate::memory::Pool;
use crate::mmio::Device;

/// How often an index has to wrap around for a check to mean anything.
pub(crate) const ENOUGH: u32 = 3;

/// Steps after which the index of a split queue wraps around.
const SPLIT_INDEX: u64 = 1 << 16;

/// Bytes of one descriptor in an indirect table.
const DESCRIPTOR: u32 = 16;

/// What a check needs of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// The queue's index in its device.
    pub(crate) index: u16,
    /// Its size: a power of two, since every queue is split at times.
    pub(crate) size: u16,
    /// How many requests are in flight at most.
    pub(crate) requests: u16,
    /// How many segments a request has at most.
    pub(crate) segments: u16,
}

/// One queue. Requests are known by their number, below [`Plan::requests`].
#[derive(Debug)]
pub(crate) struct Queue<'s> {
    driver: DriverQueue<RawMemory<'static>, &'s mut [Slot<u16>], u16>,
    plan: Plan,
    combination: Combination,
    /// One indirect table for each request, if buffers go through such.
    tables: Segment,
    /// Buffers added.
    buffers: u32,
    /// Steps that the index has made: a split queue counts buffers, a packed one descriptors.
    steps: u64,
}

impl<'s> Queue<'s> {
    /// Brings the queue up: finds out what memory it needs, takes it, and tells the device.
    pub(crate) fn start(
        device: &Device,
        plan: Plan,
        combination: Combination,
        pool: &mut Pool,
        slots: &'s mut [Slot<u16>],
    ) -> Result<Self, Failure> {
        let size = QueueSize::split(plan.size).map_err(ring_core::SetupError::Size)?;
        let layout = if combination.is_packed() { packed::layout(size) } else { split::layout(size) };
        let mut take = |area: AreaLayout| {
            // No area of a queue of 32768 is over a MiB.
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

    /// Whether a request of so many segments can be added now.
    pub(crate) fn has_room(&self, segments: usize) -> bool {
        let needed = if self.combination.is_indirect() { 1 } else { segments };
        needed <= usize::from(self.driver.free())
    }

    /// Stages a request, through its indirect table if that was negotiated.
    pub(crate) fn add(
        &mut self,
        request: u16,
        readable: &[Segment],
        writable: &[Segment],
    ) -> Result<(), Failure> {
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

    /// Makes what is staged available, and notifies the device if it wants that.
    pub(crate) fn publish(&mut self, device: &mut Device) {
        if self.driver.publish().is_needed() {
            device.notify(self.plan.index);
        }
    }

    /// Takes back the next request, if there is one.
    pub(crate) fn reap(&mut self) -> Result<Option<Used<u16>>, Failure> {
        Ok(self.driver.reap()?)
    }

    /// Asks for an interrupt.
    pub(crate) fn arm(&mut self) -> Arm {
        self.driver.arm()
    }

    /// Takes back the next request. If there is none, makes what is staged available, and sleeps.
    ///
    /// There has to be a request, in flight or staged: else there is nothing to wait for.
    pub(crate) fn next(&mut self, device: &mut Device) -> Result<Used<u16>, Failure> {
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

    /// Buffers added so far.
    pub(crate) const fn buffers(&self) -> u32 {
        self.buffers
    }

    /// How often the queue's index wrapped around: the 16 bits of a split queue's, or a packed queue's
    /// position in the ring, with its wrap counter.
    pub(crate) fn wraps(&self) -> u32 {
        let steps = if self.combination.is_packed() { self.plan.size.into() } else { SPLIT_INDEX };
        u32::try_from(self.steps / steps).unwrap_or(u32::MAX)
    }

    /// How often the ring was gone around, in either format.
    pub(crate) fn laps(&self) -> u32 {
        u32::try_from(self.steps / u64::from(self.plan.size)).unwrap_or(u32::MAX)
    }
}
