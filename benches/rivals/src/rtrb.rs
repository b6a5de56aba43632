//! A pair of `rtrb` rings: the speed that two threads reach without checks and without a standard.
//!
//! Several requests are written as one chunk, as the documentation of `rtrb` recommends. The device
//! returns a cookie and a length in 8 bytes, the size of a used entry.

use ring_core::{Features, Segment};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::case::{Bursts, Case, Decisions, Ends};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::request::Request;
use crate::shape::{Shape, Shapes};
use crate::tally::{Returned, Seen};

/// Two rings, one for each direction.
#[derive(Debug)]
pub struct TwoRings;

impl Implementation for TwoRings {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let one = Shapes::All(Shape::ONE);
        match case {
            Case::Bursts(Bursts { ends: Ends::Both, shapes, .. }) if shapes == one => {}
            Case::RoundTrip(Decisions::Both) | Case::TwoThreads(_) => {}
            _ => return None,
        }
        let size = case.queue_size().into();
        let (requests, taken) = RingBuffer::new(size);
        let (returned, used) = RingBuffer::new(size);
        let (driver, device) = (Driver { requests, used }, Device { requests: taken, used: returned });
        Some(Pair::boxed(Fixture::new(case, Features::empty()), driver, device))
    }
}

/// A request of one segment, with its cookie.
type Item = (Segment, u16);
/// The cookie of a request, and the number of bytes written.
type Used = (u16, u32);

/// The driver's end.
#[derive(Debug)]
struct Driver {
    requests: Producer<Item>,
    used: Consumer<Used>,
}

/// The device's end.
#[derive(Debug)]
struct Device {
    requests: Consumer<Item>,
    used: Producer<Used>,
}

#[inline(always)]
fn item(request: &Request) -> Item {
    (request.writable().first().copied().unwrap_or_default(), request.cookie)
}

impl DriverEnd for Driver {
    #[inline(never)]
    fn submit(&mut self, requests: &[Request]) {
        if let [request] = requests {
            self.requests.push(item(request)).expect("a burst fits the ring");
        } else {
            let room = self.requests.write_chunk_uninit(requests.len()).expect("a burst fits the ring");
            room.fill_from_iter(requests.iter().map(item));
        }
    }

    #[inline(never)]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        let Ok(used) = self.used.read_chunk(self.used.slots()) else { return returned };
        for (cookie, written) in used {
            returned.add(cookie, written);
        }
        returned
    }
}

impl DeviceEnd for Device {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        if limit == 1 {
            let Ok((segment, cookie)) = self.requests.pop() else { return seen };
            seen.write(segment);
            seen.chains += 1;
            self.used.push((cookie, segment.len)).expect("both rings have the same size");
            return seen;
        }
        let count = self.requests.slots().min(limit);
        let (Ok(taken), Ok(room)) = (self.requests.read_chunk(count), self.used.write_chunk_uninit(count))
        else {
            return seen;
        };
        room.fill_from_iter(taken.into_iter().map(|(segment, cookie)| {
            seen.write(segment);
            seen.chains += 1;
            (cookie, segment.len)
        }));
        seen
    }

    fn arm(&mut self) -> bool {
        self.requests.is_empty()
    }
}
