//! The empty pair: two ends without a queue, so that the measured cost is the cost of the suite
//! itself.
//!
//! The suite iterates over the requests, sums up the segments that the device sees, and sums up the
//! buffers that the driver takes back. The empty pair does nothing else.

use std::hint::black_box;

use ring_core::Features;

use crate::case::{Bursts, Case, Decisions, Ends};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::request::Request;
use crate::tally::{Returned, Seen};

/// The implementation that passes nothing.
#[derive(Debug)]
pub struct EmptyPair;

impl Implementation for EmptyPair {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let (Case::Bursts(Bursts { ends: Ends::Neither, .. }) | Case::RoundTrip(Decisions::Both)) = case
        else {
            return None;
        };
        let fixture = Fixture::new(case, Features::empty());
        let used = fixture.requests.iter().map(|request| (request.cookie, request.written()));
        let driver = Driver { used: used.collect(), submitted: 0..0 };
        let device = Device { requests: fixture.requests.clone(), next: 0 };
        Some(Pair::boxed(fixture, driver, device))
    }
}

/// The driver's end.
#[derive(Debug)]
struct Driver {
    /// The cookie of each request, and the number of bytes that a device writes.
    used: Vec<(u16, u32)>,
    /// The numbers of the requests that were submitted last.
    submitted: std::ops::Range<usize>,
}

impl DriverEnd for Driver {
    #[inline(never)]
    fn submit(&mut self, requests: &[Request]) {
        for request in requests {
            black_box(request);
        }
        let first = requests.first().map_or(0, |request| request.cookie.into());
        self.submitted = first..first + requests.len();
    }

    #[inline(never)]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        for &(cookie, written) in &self.used[self.submitted.clone()] {
            returned.add(cookie, written);
        }
        returned
    }
}

/// The device's end.
#[derive(Debug)]
struct Device {
    requests: Vec<Request>,
    /// The number of the request to serve next.
    next: usize,
}

impl DeviceEnd for Device {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        for request in &self.requests[self.next..][..limit] {
            seen.segments(request.readable(), request.writable());
            seen.chains += 1;
        }
        self.next += limit;
        if self.next == self.requests.len() {
            self.next = 0;
        }
        seen
    }
}
