//! An empty pair: no queue at all, so that the time is that of the suite itself.
//!
//! The suite walks the requests, sums up the segments that the device sees, and sums up what the
//! driver takes back. The empty pair does just that.

use std::hint::black_box;

use crate::case::{Case, Ends};
use crate::ends::{DeviceEnd, DriverEnd, Seen};
use crate::fixture::Fixture;
use crate::implementation::{Connect, Implementation, connect};
use crate::pair::Pair;
use crate::request::Request;

/// The implementation that passes nothing.
#[derive(Debug)]
pub struct EmptyPair;

/// An empty pair.
pub const EMPTY_PAIR: EmptyPair = EmptyPair;

impl Implementation for EmptyPair {
    fn name(&self) -> &'static str {
        "empty pair (the suite alone)"
    }

    fn connect(&self, case: Case) -> Option<Connect> {
        let Case::Bursts(Ends::Neither, _) = case else { return None };
        connect(move || {
            let fixture = Fixture::new(case, ring_core::Features::empty());
            let used = fixture.requests.iter().map(|request| (request.cookie, request.written()));
            let driver = Driver { used: used.collect() };
            let device = Device { requests: fixture.requests.clone() };
            Pair::boxed(fixture, driver, device)
        })
    }

    fn count_name(&self, case: Case) -> Option<String> {
        Some(format!("empty/{case}"))
    }
}

/// The driver's end.
#[derive(Debug)]
struct Driver {
    /// The cookie of each request, and how many bytes a device writes.
    used: Vec<(u16, u32)>,
}

impl DriverEnd for Driver {
    #[inline(always)]
    fn submit(&mut self, requests: &[Request]) {
        for request in requests {
            black_box(request);
        }
    }

    #[inline(always)]
    fn collect(&mut self, mut each: impl FnMut(u16, u32)) {
        for &(cookie, written) in &self.used {
            each(cookie, written);
        }
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        false
    }
}

/// The device's end.
#[derive(Debug)]
struct Device {
    requests: Vec<Request>,
}

impl DeviceEnd for Device {
    #[inline(always)]
    fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize {
        for request in self.requests.iter().take(limit) {
            request.readable().iter().for_each(|&segment| seen.read(segment));
            request.writable().iter().for_each(|&segment| seen.write(segment));
        }
        limit
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        false
    }

    fn arm(&mut self) -> bool {
        true
    }
}
