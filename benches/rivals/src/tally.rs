//! Sums over the requests that the device has seen and that the driver got back. The sums show
//! whether every request arrived complete and came back once.
//!
//! Ends take sums by value and return the sums, so that the sums can stay in registers.

use ring_core::Segment;

use crate::request::Request;

/// Sums over the chains that a device has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The number of chains.
    pub chains: usize,
    /// The sum of addresses and lengths of the readable segments.
    pub readable: u64,
    /// The sum of addresses and lengths of the writable segments.
    pub writable: u64,
}

impl Seen {
    /// Adds a readable segment.
    #[inline(always)]
    pub const fn read(&mut self, segment: Segment) {
        self.readable = self.readable.wrapping_add(sum(segment));
    }

    /// Adds a writable segment.
    #[inline(always)]
    pub const fn write(&mut self, segment: Segment) {
        self.writable = self.writable.wrapping_add(sum(segment));
    }

    /// Adds all segments of a chain. Does not count the chain.
    ///
    /// Chains of one and three segments are added without a loop, because the compiler would unroll
    /// the loop in some programs and not in others.
    #[inline(always)]
    pub fn segments(&mut self, readable: &[Segment], writable: &[Segment]) {
        match (readable, writable) {
            ([], &[segment]) => self.write(segment),
            (&[first, second], &[segment]) => {
                self.read(first);
                self.read(second);
                self.write(segment);
            }
            _ => {
                self.readable = self.readable.wrapping_add(many(readable));
                self.writable = self.writable.wrapping_add(many(writable));
            }
        }
    }

    /// Adds sums that were known in advance, for a device that does not read descriptors.
    #[inline(always)]
    pub const fn add(&mut self, other: Self) {
        self.chains += other.chains;
        self.readable = self.readable.wrapping_add(other.readable);
        self.writable = self.writable.wrapping_add(other.writable);
    }

    /// Returns the sums for a device that sees each of `requests` once.
    #[must_use]
    pub fn of(requests: &[Request]) -> Self {
        let mut seen = Self::default();
        for request in requests {
            seen.segments(request.readable(), request.writable());
            seen.chains += 1;
        }
        seen
    }

    /// Returns the sums for `count` passes.
    #[must_use]
    pub const fn times(self, count: usize) -> Self {
        Self {
            chains: self.chains * count,
            readable: self.readable.wrapping_mul(count as u64),
            writable: self.writable.wrapping_mul(count as u64),
        }
    }
}

#[inline(always)]
const fn sum(segment: Segment) -> u64 {
    segment.address.wrapping_add(segment.len as u64)
}

/// Returns the sum over segments. This is a function of its own, so that the common cases keep
/// their registers.
#[cold]
#[inline(never)]
fn many(segments: &[Segment]) -> u64 {
    segments.iter().fold(0, |total, &segment| total.wrapping_add(sum(segment)))
}

/// Sums over the used buffers that a driver has taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    /// The number of buffers.
    pub buffers: usize,
    /// A sum of the cookies that depends on their order.
    pub cookies: u64,
    /// The sum of the bytes written.
    pub written: u64,
}

impl Returned {
    /// Adds a used buffer.
    #[inline(always)]
    pub const fn add(&mut self, cookie: u16, written: u32) {
        self.buffers += 1;
        self.cookies = self.cookies.rotate_left(1) ^ cookie as u64;
        self.written += written as u64;
    }

    /// Returns the sums for a driver that takes each of `requests` back `count` times, in order.
    #[must_use]
    pub fn of(requests: &[Request], count: usize) -> Self {
        let used: Vec<(u16, u32)> = requests.iter().map(|it| (it.cookie, it.written())).collect();
        let mut returned = Self::default();
        for _ in 0..count {
            used.iter().for_each(|&(cookie, written)| returned.add(cookie, written));
        }
        returned
    }
}
