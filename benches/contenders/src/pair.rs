//! The two ends of a queue, and how a burst of requests passes between them.

use ring_core::Segment;

use crate::Request;

/// The driver's end of a queue.
pub trait DriverEnd {
    /// Adds a request; there is room for it.
    fn add(&mut self, request: &Request);

    /// Makes all that was added available at the latest. No notification is thought of.
    fn publish(&mut self);

    /// Decides whether to notify the device of what was made available.
    fn announce(&mut self) -> bool;

    /// Takes back a used buffer: the cookie of its request, and how many bytes were written.
    fn reap(&mut self) -> Option<(u16, u32)>;

    /// Asks to be notified of the next used buffer. Returns whether there is none yet.
    fn arm(&mut self) -> bool;
}

/// The device's end of a queue.
pub trait DeviceEnd {
    /// Takes up to `limit` requests and returns them as fully written, visibly at the latest when it is
    /// done. What it saw goes to `tally`. Returns how many there were. No notification is thought of.
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize;

    /// Decides whether to notify the driver of what was returned.
    fn announce(&mut self) -> bool;

    /// Asks to be notified of the next available buffer. Returns whether there is none yet.
    fn arm(&mut self) -> bool;
}

/// What passed by: enough to tell whether every request arrived whole and came back once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sum of addresses and lengths of the segments that the device was to read.
    pub readable: u64,
    /// The same of those that it was to write.
    pub writable: u64,
    /// How often the driver got something back.
    pub reaped: u64,
    /// Sum of the cookies' squares.
    pub cookies: u64,
    /// Sum of the bytes that the driver was told of.
    pub written: u64,
    /// How often the device was to be notified.
    pub kicks: u64,
    /// How often the driver was to be notified.
    pub calls: u64,
}

impl Tally {
    /// The device has a segment to read.
    #[inline(always)]
    pub const fn read(&mut self, segment: Segment) {
        self.readable = self.readable.wrapping_add(segment.address).wrapping_add(segment.len as u64);
    }

    /// The device has a segment to write.
    #[inline(always)]
    pub const fn write(&mut self, segment: Segment) {
        self.writable = self.writable.wrapping_add(segment.address).wrapping_add(segment.len as u64);
    }

    /// The driver has its buffer back.
    #[inline(always)]
    pub const fn reap(&mut self, cookie: u16, written: u32) {
        self.reaped += 1;
        self.cookies += cookie as u64 * cookie as u64;
        self.written += written as u64;
    }

    /// A device that does not look at descriptors has seen all this.
    #[inline(always)]
    pub const fn see(&mut self, seen: Self) {
        self.readable = self.readable.wrapping_add(seen.readable);
        self.writable = self.writable.wrapping_add(seen.writable);
    }

    /// What a device sees when each of `requests` passes once.
    #[must_use]
    pub fn seen(requests: &[Request]) -> Self {
        let mut tally = Self::default();
        for request in requests {
            request.readable().iter().for_each(|&segment| tally.read(segment));
            request.writable().iter().for_each(|&segment| tally.write(segment));
        }
        tally
    }

    /// The same so many times.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        let count = count as u64;
        Self {
            readable: self.readable.wrapping_mul(count),
            writable: self.writable.wrapping_mul(count),
            reaped: self.reaped * count,
            cookies: self.cookies * count,
            written: self.written * count,
            kicks: self.kicks * count,
            calls: self.calls * count,
        }
    }

    /// What both ends see then.
    #[must_use]
    pub fn of(requests: &[Request]) -> Self {
        let mut tally = Self::seen(requests);
        for request in requests {
            tally.reap(request.cookie, request.written());
        }
        tally
    }
}

/// Something that can be measured.
pub trait Work {
    /// Passes one burst of [`BURST`](crate::BURST) requests.
    fn burst(&mut self) -> Tally;

    /// Passes bursts until all indices have wrapped around, and checks each.
    ///
    /// # Panics
    ///
    /// If a request did not arrive whole or did not come back once.
    fn check(&mut self);
}

/// Both ends on one thread.
#[derive(Debug)]
pub struct Pair<D, V> {
    /// The driver's end.
    pub driver: D,
    /// The device's end.
    pub device: V,
    /// What is passed.
    pub requests: Vec<Request>,
}

impl<D: DriverEnd, V: DeviceEnd> Work for Pair<D, V> {
    #[inline(never)]
    fn burst(&mut self) -> Tally {
        let mut tally = Tally::default();
        for request in &self.requests {
            self.driver.add(request);
        }
        self.driver.publish();
        tally.kicks += u64::from(self.driver.announce());
        self.device.serve(self.requests.len(), &mut tally);
        tally.calls += u64::from(self.device.announce());
        while let Some((cookie, written)) = self.driver.reap() {
            tally.reap(cookie, written);
        }
        tally
    }

    fn check(&mut self) {
        let expected = Tally::of(&self.requests);
        // The free-running indices of a split queue wrap around after 2^16 requests.
        for _ in 0..=(1 << 16) / self.requests.len() {
            let passed = Tally { kicks: 0, calls: 0, ..self.burst() };
            assert_eq!(passed, expected, "requests were lost or damaged");
        }
    }
}
