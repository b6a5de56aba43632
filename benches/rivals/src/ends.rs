//! The two ends of a queue, and totals of what passed.

use ring_core::Segment;

use crate::request::Request;

/// The driver's end of a queue.
pub trait DriverEnd {
    /// Adds `requests`, for which there is room, and makes them available. Does not decide about
    /// notifications.
    fn submit(&mut self, requests: &[Request]);

    /// Takes back every used buffer. Calls `each` with the cookie and the number of bytes written.
    fn collect(&mut self, each: impl FnMut(u16, u32));

    /// Decides whether to notify the device of what was submitted.
    fn decide(&mut self) -> bool;
}

/// The device's end of a queue.
pub trait DeviceEnd {
    /// Takes up to `limit` requests and returns them as fully written. Does not decide about
    /// notifications.
    ///
    /// Adds the segments to `seen`. Returns the number of requests. All of them are used when the
    /// call returns.
    fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize;

    /// Decides whether to notify the driver of what was used.
    fn decide(&mut self) -> bool;

    /// Asks to be notified of the next available buffer. Returns whether there is none yet.
    fn arm(&mut self) -> bool;
}

/// Sums over the segments that a device has seen, which tell whether every request arrived whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The sum of addresses and lengths of the readable segments.
    pub readable: u64,
    /// The sum of addresses and lengths of the writable segments.
    pub writable: u64,
}

impl Seen {
    /// Adds a readable segment.
    #[inline(always)]
    pub const fn read(&mut self, segment: Segment) {
        self.readable = self.readable.wrapping_add(segment.address).wrapping_add(segment.len as u64);
    }

    /// Adds a writable segment.
    #[inline(always)]
    pub const fn write(&mut self, segment: Segment) {
        self.writable = self.writable.wrapping_add(segment.address).wrapping_add(segment.len as u64);
    }

    /// Adds sums that were known beforehand, for a device that does not look at descriptors.
    #[inline(always)]
    pub const fn add(&mut self, other: Self) {
        self.readable = self.readable.wrapping_add(other.readable);
        self.writable = self.writable.wrapping_add(other.writable);
    }

    /// Returns the sums for a device that sees each of `requests` once.
    #[must_use]
    pub fn of(requests: &[Request]) -> Self {
        let mut seen = Self::default();
        for request in requests {
            request.readable().iter().for_each(|&segment| seen.read(segment));
            request.writable().iter().for_each(|&segment| seen.write(segment));
        }
        seen
    }

    /// Returns the sums for `count` passes.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        let count = count as u64;
        Self { readable: self.readable.wrapping_mul(count), writable: self.writable.wrapping_mul(count) }
    }
}

/// Sums over the used buffers that a driver has taken back, which tell whether each came back once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// The number of buffers.
    pub buffers: u64,
    /// The sum of the squares of the cookies.
    pub cookies: u64,
    /// The sum of the bytes written.
    pub written: u64,
}

impl Returned {
    /// Adds a used buffer.
    #[inline(always)]
    pub const fn add(&mut self, cookie: u16, written: u32) {
        self.buffers += 1;
        self.cookies += cookie as u64 * cookie as u64;
        self.written += written as u64;
    }

    /// Returns the sums for a driver that takes each of `requests` back once.
    #[must_use]
    pub fn of(requests: &[Request]) -> Self {
        let mut returned = Self::default();
        requests.iter().for_each(|request| returned.add(request.cookie, request.written()));
        returned
    }

    /// Returns the sums for `count` passes.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        let count = count as u64;
        Self { buffers: self.buffers * count, cookies: self.cookies * count, written: self.written * count }
    }
}
