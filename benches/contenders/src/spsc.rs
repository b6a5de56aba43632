//! A pair of `rtrb` rings: what two cores can do when nothing has to be checked and nothing is standardised.

use ring_core::Segment;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::{DeviceEnd, DriverEnd, QUEUE_SIZE, Request, Tally};

/// A request of one segment, there and back.
type Item = (Segment, u16);

/// The driver's end, which pushes and pops one by one.
#[derive(Debug)]
pub struct Driver {
    requests: Producer<Item>,
    used: Consumer<Item>,
}

/// The driver's end, which pushes and pops in chunks.
#[derive(Debug)]
pub struct ChunkedDriver {
    rings: Driver,
    staged: Vec<Item>,
    /// What was popped, last first.
    taken: Vec<Item>,
}

/// The device's end.
#[derive(Debug)]
pub struct Device {
    requests: Consumer<Item>,
    used: Producer<Item>,
}

/// Both ends.
#[must_use]
pub fn ends() -> (Driver, Device) {
    let (request_producer, request_consumer) = RingBuffer::new(QUEUE_SIZE.into());
    let (used_producer, used_consumer) = RingBuffer::new(QUEUE_SIZE.into());
    let driver = Driver { requests: request_producer, used: used_consumer };
    (driver, Device { requests: request_consumer, used: used_producer })
}

/// Both ends, the driver's in chunks.
#[must_use]
pub fn chunked_ends() -> (ChunkedDriver, Device) {
    let (rings, device) = ends();
    let room = || Vec::with_capacity(QUEUE_SIZE.into());
    (ChunkedDriver { rings, staged: room(), taken: room() }, device)
}

/// A request of one segment.
#[inline(always)]
fn item(request: &Request) -> Item {
    (request.writable().first().copied().unwrap_or_default(), request.cookie)
}

impl DriverEnd for Driver {
    #[inline(always)]
    fn add(&mut self, request: &Request) {
        self.requests.push(item(request)).expect("a burst fits the queue");
    }

    #[inline(always)]
    fn publish(&mut self) {}

    #[inline(always)]
    fn announce(&mut self) -> bool {
        false
    }

    #[inline(always)]
    fn reap(&mut self) -> Option<(u16, u32)> {
        let (segment, cookie) = self.used.pop().ok()?;
        Some((cookie, segment.len))
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        self.used.is_empty()
    }
}

impl DriverEnd for ChunkedDriver {
    #[inline(always)]
    fn add(&mut self, request: &Request) {
        self.staged.push(item(request));
    }

    #[inline(always)]
    fn publish(&mut self) {
        self.rings.requests.push_entire_slice(&self.staged).expect("a burst fits the queue");
        self.staged.clear();
    }

    #[inline(always)]
    fn announce(&mut self) -> bool {
        false
    }

    #[inline(always)]
    fn reap(&mut self) -> Option<(u16, u32)> {
        if self.taken.is_empty() {
            let chunk = self.rings.used.read_chunk(self.rings.used.slots()).ok()?;
            self.taken.extend(chunk);
            self.taken.reverse();
        }
        let (segment, cookie) = self.taken.pop()?;
        Some((cookie, segment.len))
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        self.taken.is_empty() && self.rings.used.is_empty()
    }
}

impl DeviceEnd for Device {
    #[inline(always)]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        if limit == 1 {
            let Ok(item) = self.requests.pop() else { return 0 };
            tally.write(item.0);
            self.used.push(item).expect("what came from a ring fits the other one");
            return 1;
        }
        let count = self.requests.slots().min(limit);
        let (Ok(taken), Ok(room)) = (self.requests.read_chunk(count), self.used.write_chunk_uninit(count))
        else {
            return 0;
        };
        room.fill_from_iter(taken.into_iter().inspect(|item| tally.write(item.0)))
    }

    fn announce(&mut self) -> bool {
        false
    }

    fn arm(&mut self) -> bool {
        self.requests.is_empty()
    }
}
