//! Stubs of packed queues. Two stores make a descriptor available, and two accesses return a
//! buffer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use ring_core::Segment;

use super::SIZE;
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::request::Request;
use crate::tally::{Returned, Seen};

/// The bit offset of the id in the second word of a descriptor, and the flags in that word.
pub(crate) const ID: u32 = 32;
const NEXT: u64 = 1 << 48;
pub(crate) const WRITE: u64 = 2 << 48;
const INDIRECT: u64 = 4 << 48;
pub(crate) const AVAIL: u64 = 1 << 55;
pub(crate) const USED: u64 = 1 << 63;

/// An event suppression structure that asks for a notification at the first descriptor of the ring.
const AT_FIRST: u32 = 2 << 16 | 1 << 15;

/// The descriptor area: `addr` of each descriptor, and then `len`, `id` and `flags` in one word.
pub(crate) type Descriptors = &'static [[AtomicU64; 2]; SIZE];

/// Returns the descriptor area. Sets both event suppression structures, so that the other end has
/// to compare.
fn descriptors(Fixture { arena, setup, .. }: &Fixture) -> Descriptors {
    for area in [setup.areas.driver, setup.areas.device] {
        let [event]: &[AtomicU32; 1] = arena.view(area);
        event.store(AT_FIRST, Relaxed);
    }
    arena.view(setup.areas.descriptor)
}

/// A position in the ring: the number of descriptors since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cursor(usize);

impl Cursor {
    #[inline(always)]
    pub(crate) const fn slot(self) -> usize {
        self.0 % SIZE
    }

    /// Returns the flags of a descriptor that is available at this position.
    #[inline(always)]
    pub(crate) const fn available(self) -> u64 {
        AVAIL ^ self.odd_lap()
    }

    /// Returns the flags of a descriptor that is used at this position.
    #[inline(always)]
    pub(crate) const fn used(self) -> u64 {
        AVAIL ^ USED ^ self.odd_lap()
    }

    /// Returns the flags to invert, which are both flags on every second lap.
    #[inline(always)]
    const fn odd_lap(self) -> u64 {
        ((self.0 / SIZE % 2) as u64).wrapping_neg() & (AVAIL | USED)
    }

    #[inline(always)]
    pub(crate) const fn advance(&mut self, count: usize) {
        self.0 += count;
    }
}

/// A driver that has computed its descriptors in advance, with the flags of each lap.
#[derive(Debug)]
pub struct Driver {
    descriptors: Descriptors,
    /// The descriptors of whole bursts and whole laps, until both start again at the first slot.
    known: Vec<[u64; 2]>,
    /// The number of descriptors of one request.
    count: usize,
    added: usize,
    /// The index in `known` of the first descriptor that is not published.
    next: usize,
    reap: Cursor,
}

impl Driver {
    /// Prepares to submit the requests of `fixture`.
    #[must_use]
    pub fn new(fixture: &Fixture) -> Self {
        let requests = &fixture.requests;
        let burst: Vec<[u64; 2]> = requests.iter().flat_map(|request| in_ring(fixture, request)).collect();
        // After this many bursts, a burst starts again at the first slot of an even lap.
        let bursts = (1..).find(|bursts| (bursts * burst.len()).is_multiple_of(2 * SIZE)).unwrap_or(1);
        let with_flags =
            |([address, rest], place): ([u64; 2], usize)| [address, rest | Cursor(place).available()];
        let known = burst.repeat(bursts).into_iter().zip(0..).map(with_flags).collect();
        Self {
            descriptors: descriptors(fixture),
            known,
            count: burst.len() / requests.len(),
            added: 0,
            next: 0,
            reap: Cursor::default(),
        }
    }
}

/// Returns the descriptors of a request for the ring, with the cookie as the id.
fn in_ring(fixture: &Fixture, request: &Request) -> Vec<[u64; 2]> {
    let id = u64::from(request.cookie) << ID;
    let words = |segment: &Segment, flags| [segment.address, u64::from(segment.len) | id | flags];
    let readable = request.readable().iter().map(|segment| words(segment, NEXT));
    let writable = request.writable().iter().map(|segment| words(segment, NEXT | WRITE));
    let mut chain: Vec<_> = readable.chain(writable).collect();
    if let Some([_, last]) = chain.last_mut() {
        *last &= !NEXT;
    }
    if fixture.shapes.uses_tables() {
        let bytes = fixture.arena.write_table(request.table, &chain);
        chain = vec![[request.table.address, bytes | id | INDIRECT]];
    }
    chain
}

impl DriverEnd for Driver {
    #[inline(never)]
    fn submit(&mut self, requests: &[Request]) {
        for _ in requests {
            self.added += self.count;
        }
        let end = self.next + self.added;
        for (slot, &[address, rest]) in (self.next..).zip(&self.known[self.next..end]) {
            let [to_address, to_rest] = &self.descriptors[slot % SIZE];
            to_address.store(address, Relaxed);
            to_rest.store(rest, Relaxed);
        }
        self.next = if end == self.known.len() { 0 } else { end };
        self.added = 0;
    }

    #[inline(never)]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        loop {
            let word = self.descriptors[self.reap.slot()][1].load(Relaxed);
            if word & (AVAIL | USED) != self.reap.used() {
                return returned;
            }
            self.reap.advance(self.count);
            let [l0, l1, l2, l3, i0, i1, ..] = word.to_le_bytes();
            returned.add(u16::from_le_bytes([i0, i1]), u32::from_le_bytes([l0, l1, l2, l3]));
        }
    }
}

/// A device that returns every buffer without looking at more than the id.
#[derive(Debug)]
pub struct Device {
    descriptors: Descriptors,
    next: Cursor,
    /// The descriptors of each request in the ring.
    count: usize,
    /// The sums of what a device sees in a burst.
    burst: Seen,
    /// The bytes that the device claims to have written to each buffer.
    written: u32,
}

impl Device {
    /// Prepares to serve the requests of `fixture`.
    #[must_use]
    pub fn new(fixture: &Fixture) -> Self {
        let requests = &fixture.requests;
        let count = requests.first().map_or(0, Request::descriptors);
        let (burst, written) = (Seen::of(requests), requests.first().map_or(0, Request::written));
        Self { descriptors: descriptors(fixture), next: Cursor::default(), count, burst, written }
    }
}

impl DeviceEnd for Device {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        let mut count = 0;
        while count < limit {
            let first = &self.descriptors[self.next.slot()][1];
            if first.load(Relaxed) & (AVAIL | USED) != self.next.available() {
                break;
            }
            // The last descriptor of a buffer has the id.
            let last = &self.descriptors[(self.next.0 + self.count - 1) % SIZE][1];
            let id = last.load(Relaxed) & 0xffff << ID;
            first.store(u64::from(self.written) | id | WRITE | self.next.used(), Relaxed);
            self.next.advance(self.count);
            count += 1;
        }
        seen.add(self.burst);
        seen
    }
}
