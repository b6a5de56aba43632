//! A block device: 8 MiB are written, flushed, read back and compared (VIRTIO 1.4, 5.2 "Block
//! Device").

use ring_core::driver::Slot;
use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Features, Segment};

use crate::combination::Combination;
use crate::error::CheckError;
use crate::memory::{Pool, fill};
use crate::mmio::Device;
use crate::queue::{MIN_WRAPS, Plan, Queue};
use crate::report::Counts;

/// The header and the status have a segment each, in addition to up to 64 segments of data.
const PLAN: Plan = Plan { index: 0, size: 1024, requests: 32, segments: MAX_SEGMENTS + 2 };
const MAX_SEGMENTS: u16 = 64;

const SECTOR: u32 = 512;
const SECTORS: u32 = (8 << 20) / SECTOR;
/// A request has as many sectors as data segments.
const MAX_DATA: u32 = MAX_SEGMENTS as u32 * SECTOR;

const HEADER: u32 = 16;
/// The length of the response to `GET_ID`.
const ID: u32 = 20;
const FLUSH: Features = Features::from_bits_retain(1 << 9);

/// The type of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Read = 0,
    Write = 1,
    Flush = 4,
    GetId = 8,
}

/// The status of a request before the device has written it.
const NO_STATUS: u8 = 0xff;

/// Writes, flushes, reads and compares. Then requests the device's ID until the index has wrapped
/// around often enough.
pub(super) fn check(device: &mut Device, combination: Combination) -> Result<Counts, CheckError> {
    device.negotiate(combination.features().union(FLUSH))?;
    let mut pool = Pool::new();
    let mut slots = [Slot::EMPTY; PLAN.size as usize];
    let queue = Queue::start(device, PLAN, combination, &mut pool, &mut slots)?;
    device.set_driver_ok();
    let mut disk = Disk::new(device, queue, &mut pool, combination.features().bits())?;

    disk.transfer(Command::Write)?;
    disk.flush()?;
    disk.transfer(Command::Read)?;
    while disk.queue.wraps() < MIN_WRAPS {
        disk.request_ids()?;
    }
    let bytes = 2 * u64::from(SECTORS) * u64::from(SECTOR);
    let queue = disk.queue;
    Counts::of(device, bytes, &[&queue])
}

/// The device and its requests.
struct Disk<'d, 's> {
    device: &'d mut Device,
    queue: Queue<'s>,
    memory: RawMemory<'static>,
    headers: Segment,
    statuses: Segment,
    data: Segment,
    /// The sectors that each request transfers.
    extents: [Extent; PLAN.requests as usize],
    /// A number that makes the data of one combination differ from the data of all other
    /// combinations.
    seed: u64,
}

/// A range of sectors.
#[derive(Clone, Copy, Default)]
struct Extent {
    first: u32,
    count: u32,
}

impl<'d, 's> Disk<'d, 's> {
    fn new(device: &'d mut Device, queue: Queue<'s>, pool: &mut Pool, seed: u64) -> Result<Self, CheckError> {
        let requests = u32::from(PLAN.requests);
        Ok(Self {
            device,
            queue,
            memory: pool.memory().clone(),
            headers: pool.take(requests * HEADER, 16)?,
            statuses: pool.take(requests, 1)?,
            data: pool.take(requests * MAX_DATA, 16)?,
            extents: [Extent::default(); PLAN.requests as usize],
            seed,
        })
    }

    /// Reads or writes all sectors, with as many requests in flight as possible.
    fn transfer(&mut self, command: Command) -> Result<(), CheckError> {
        let mut idle = Idle::all();
        let mut first = 0;
        // Each number of segments occurs once in every 64 requests, in a scrambled order.
        let mut count: u32 = 1;
        while first < SECTORS || !idle.is_all() {
            let extent = Extent { first, count: count.min(SECTORS - first) };
            if extent.count > 0
                && self.queue.has_room(extent.count as usize + 2)
                && let Some(request) = idle.take()
            {
                if let Some(slot) = self.extents.get_mut(usize::from(request)) {
                    *slot = extent;
                }
                self.prepare(command, request, extent)?;
                self.submit(command, request, extent.first, extent.count)?;
                first += extent.count;
                count = (count + 36) % u32::from(MAX_SEGMENTS) + 1;
                continue;
            }
            let request = self.finish()?;
            if command == Command::Read {
                self.compare(request)?;
            }
            idle.put(request);
        }
        Ok(())
    }

    /// Commits everything that was written.
    fn flush(&mut self) -> Result<(), CheckError> {
        self.submit(Command::Flush, 0, 0, 0)?;
        self.finish().map(drop)
    }

    /// Fills the queue with requests for the device's ID, and waits for all replies.
    fn request_ids(&mut self) -> Result<(), CheckError> {
        for request in 0..PLAN.requests {
            self.submit(Command::GetId, request, 0, 1)?;
        }
        for _ in 0..PLAN.requests {
            self.finish()?;
        }
        Ok(())
    }

    /// Stages a request of `count` sectors and data segments.
    fn submit(&mut self, command: Command, request: u16, sector: u32, count: u32) -> Result<(), CheckError> {
        let number = u64::from(request);
        let header = Segment::new(self.headers.address + number * u64::from(HEADER), HEADER);
        let status = Segment::new(self.statuses.address + number, 1);
        let fields = u128::from(command as u32) | u128::from(sector) << 64;
        self.memory.write_bytes(header.address, &fields.to_le_bytes())?;
        self.memory.write_bytes(status.address, &[NO_STATUS])?;

        let mut segments = [Segment::default(); PLAN.segments as usize];
        let (head, rest) = segments.split_at_mut(1);
        head.fill(header);
        let data = self.data(request);
        for (index, segment) in (0..count).zip(rest.iter_mut()) {
            let [start, end] = [index, index + 1].map(|boundary| bound(boundary, count));
            *segment = Segment::new(data.address + u64::from(start), end - start);
        }
        let count = count as usize;
        match command {
            Command::Write | Command::Flush => {
                let (readable, _) = segments.split_at(1 + count);
                self.queue.add(request, readable, &[status])
            }
            Command::Read | Command::GetId => {
                if command == Command::GetId {
                    rest.iter_mut().take(count).for_each(|segment| segment.len = ID);
                }
                rest.iter_mut().skip(count).take(1).for_each(|segment| *segment = status);
                let (writable, _) = rest.split_at(count + 1);
                self.queue.add(request, head, writable)
            }
        }
    }

    /// Waits for a request and checks its status.
    fn finish(&mut self) -> Result<u16, CheckError> {
        let request = self.queue.next(self.device)?.cookie;
        let mut status = [NO_STATUS];
        self.memory.read_bytes(self.statuses.address + u64::from(request), &mut status)?;
        match status {
            [0] => Ok(request),
            [status] => Err(CheckError::Status { status: status.into() }),
        }
    }

    /// Fills the request's data memory with the data to write, or with data that a read has to
    /// overwrite.
    fn prepare(&self, command: Command, request: u16, extent: Extent) -> Result<(), CheckError> {
        let data = self.data(request);
        if command == Command::Read {
            return fill(&self.memory, data, 0);
        }
        for index in 0..extent.count {
            let sector = self.sector(extent.first + index);
            self.memory.write_bytes(data.address + u64::from(index * SECTOR), sector.as_flattened())?;
        }
        Ok(())
    }

    /// Compares the data that was read with the data that was written.
    fn compare(&self, request: u16) -> Result<(), CheckError> {
        let extent = self.extents.get(usize::from(request)).copied().unwrap_or_default();
        let data = self.data(request);
        for index in 0..extent.count {
            let mut found = [[0; 8]; WORDS];
            let address = data.address + u64::from(index * SECTOR);
            self.memory.read_bytes(address, found.as_flattened_mut())?;
            let sector = extent.first + index;
            for ((found, expected), word) in found.iter().zip(self.sector(sector)).zip(0_u64..) {
                if *found != expected {
                    return Err(CheckError::Data {
                        offset: u64::from(sector) * u64::from(SECTOR) + word * 8,
                        found: u64::from_le_bytes(*found),
                        expected: u64::from_le_bytes(expected),
                    });
                }
            }
        }
        Ok(())
    }

    /// Returns the contents of a sector. All words on the device are distinct.
    fn sector(&self, sector: u32) -> [[u8; 8]; WORDS] {
        let mut word = u64::from(sector) * WORDS as u64;
        [(); WORDS].map(|()| {
            word += 1;
            // An odd factor permutes all words.
            (word ^ self.seed << 24).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()
        })
    }

    /// Returns the memory for a request's data.
    fn data(&self, request: u16) -> Segment {
        Segment::new(self.data.address + u64::from(request) * u64::from(MAX_DATA), MAX_DATA)
    }
}

const WORDS: usize = SECTOR as usize / 8;

/// Returns the offset at which a data segment starts, in a request of `count` data segments. Only
/// the first segment and the end are at a sector boundary.
const fn bound(index: u32, count: u32) -> u32 {
    let shift = if index == 0 || index == count { 0 } else { index * 37 % 256 };
    index * SECTOR + shift
}

/// The requests that are not in flight.
struct Idle(u32);

impl Idle {
    const fn all() -> Self {
        const { assert!(PLAN.requests == 32) };
        Self(u32::MAX)
    }

    const fn is_all(&self) -> bool {
        self.0 == u32::MAX
    }

    fn take(&mut self) -> Option<u16> {
        let lowest = self.0.trailing_zeros();
        self.0 &= self.0.wrapping_sub(1);
        u16::try_from(lowest).ok().filter(|request| *request < PLAN.requests)
    }

    fn put(&mut self, request: u16) {
        self.0 |= 1_u32.checked_shl(request.into()).unwrap_or(0);
    }
}
