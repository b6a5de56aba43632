//! A pair of `rtrb` rings: what two threads reach without checks and without a standard.
//!
//! Several requests are written as one chunk, as the documentation of `rtrb` recommends. The device
//! returns a cookie and a length, 8 bytes, as a used entry has them.

use ring_core::{Features, Segment};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::arena::QUEUE_SIZE;
use crate::case::{Case, Decisions, Ends};
use crate::ends::{DeviceEnd, DriverEnd, Seen};
use crate::fixture::Fixture;
use crate::implementation::{Connect, Implementation, connect};
use crate::pair::Pair;
use crate::request::{Request, Shape};

/// The implementation.
#[derive(Debug)]
pub struct TwoRings;

/// Two rings, one for each direction.
pub const TWO_RINGS: TwoRings = TwoRings;

impl Implementation for TwoRings {
    fn name(&self) -> &'static str {
        "two rtrb rings (no virtqueue)"
    }

    fn connect(&self, case: Case) -> Option<Connect> {
        match case {
            Case::Bursts(Ends::Both, Shape::ONE) | Case::RoundTrip(Decisions::Both) | Case::TwoThreads(_) => {
                connect(move || {
                    let (requests, taken) = RingBuffer::new(QUEUE_SIZE.into());
                    let (returned, used) = RingBuffer::new(QUEUE_SIZE.into());
                    let (driver, device) =
                        (Driver { requests, used }, Device { requests: taken, used: returned });
                    Pair::boxed(Fixture::new(case, Features::empty()), driver, device)
                })
            }
            _ => None,
        }
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
    #[inline(always)]
    fn submit(&mut self, requests: &[Request]) {
        if let [request] = requests {
            self.requests.push(item(request)).expect("a burst fits the ring");
        } else {
            let room = self.requests.write_chunk_uninit(requests.len()).expect("a burst fits the ring");
            room.fill_from_iter(requests.iter().map(item));
        }
    }

    #[inline(always)]
    fn collect(&mut self, mut each: impl FnMut(u16, u32)) {
        let Ok(used) = self.used.read_chunk(self.used.slots()) else { return };
        for (cookie, written) in used {
            each(cookie, written);
        }
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        false
    }
}

impl DeviceEnd for Device {
    #[inline(always)]
    fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize {
        if limit == 1 {
            let Ok((segment, cookie)) = self.requests.pop() else { return 0 };
            seen.write(segment);
            self.used.push((cookie, segment.len)).expect("both rings have the same size");
            return 1;
        }
        let count = self.requests.slots().min(limit);
        let (Ok(taken), Ok(room)) = (self.requests.read_chunk(count), self.used.write_chunk_uninit(count))
        else {
            return 0;
        };
        room.fill_from_iter(taken.into_iter().map(|(segment, cookie)| {
            seen.write(segment);
            (cookie, segment.len)
        }))
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        false
    }

    fn arm(&mut self) -> bool {
        self.requests.is_empty()
    }
}
