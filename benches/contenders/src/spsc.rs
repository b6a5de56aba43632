//! A pair of `rtrb` rings: what two cores can do when nothing has to be checked and nothing is standardised.

use ring_core::Segment;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::{DeviceEnd, DriverEnd, QUEUE_SIZE, Request, Tally};

/// A request of one segment, there and back.
type Item = (Segment, u16);

/// The driver's end, which stages what it adds, and pushes it in one go.
#[derive(Debug)]
pub struct Driver {
    requests: Producer<Item>,
    used: Consumer<Item>,
    staged: Vec<Item>,
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
    let staged = Vec::with_capacity(QUEUE_SIZE.into());
    let driver = Driver { requests: request_producer, used: used_consumer, staged };
    (driver, Device { requests: request_consumer, used: used_producer })
}

impl DriverEnd for Driver {
    #[inline]
    fn add(&mut self, request: &Request) {
        self.staged.extend(request.writable().iter().map(|&segment| (segment, request.cookie)));
    }

    #[inline]
    fn publish(&mut self) {
        match self.staged.as_slice() {
            [] => {}
            &[item] => self.requests.push(item).expect("a burst fits the queue"),
            items => self.requests.push_entire_slice(items).expect("a burst fits the queue"),
        }
        self.staged.clear();
    }

    fn announce(&mut self) -> bool {
        false
    }

    #[inline]
    fn reap(&mut self) -> Option<(u16, u32)> {
        let (segment, cookie) = self.used.pop().ok()?;
        Some((cookie, segment.len))
    }

    fn arm(&mut self) -> bool {
        self.used.is_empty()
    }
}

impl DeviceEnd for Device {
    #[inline]
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
