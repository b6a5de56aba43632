//! Packed queues: two stores make a descriptor available; two accesses return a buffer.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use ring_core::{Segment, Setup};

use super::SIZE;
use crate::{Arena, DeviceEnd, DriverEnd, Request, Shape, Tally};

/// `id` and `flags`, in the second word of a descriptor.
const ID: u32 = 32;
const NEXT: u64 = 1 << 48;
const WRITE: u64 = 2 << 48;
const INDIRECT: u64 = 4 << 48;
const AVAIL: u64 = 1 << 55;
const USED: u64 = 1 << 63;

/// An event suppression structure that asks to be notified of the first descriptor of the ring.
const AT_FIRST: u32 = 2 << 16 | 1 << 15;

/// The descriptor area: `addr`, then `len`, `id` and `flags` of each descriptor.
type Descriptors = &'static [[AtomicU64; 2]; SIZE];

/// The descriptor area. Both event suppression structures are set, so that the other end has to compare.
fn descriptors(arena: &Arena, setup: &Setup) -> Descriptors {
    for area in [setup.areas.driver, setup.areas.device] {
        let [event]: &[AtomicU32; 1] = arena.view(area);
        event.store(AT_FIRST, Relaxed);
    }
    arena.view(setup.areas.descriptor)
}

/// A place in the ring: descriptors passed since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Place(usize);

impl Place {
    #[inline(always)]
    const fn slot(self) -> usize {
        self.0 % SIZE
    }

    /// The flags of a descriptor that is available here on this lap.
    #[inline(always)]
    const fn available(self) -> u64 {
        AVAIL ^ self.odd_lap()
    }

    /// The flags of a descriptor that is used here on this lap.
    #[inline(always)]
    const fn used(self) -> u64 {
        AVAIL ^ USED ^ self.odd_lap()
    }

    /// Both flags are the other way round on every second lap.
    #[inline(always)]
    const fn odd_lap(self) -> u64 {
        ((self.0 / SIZE % 2) as u64).wrapping_neg() & (AVAIL | USED)
    }

    #[inline(always)]
    const fn advance(&mut self, count: usize) {
        self.0 += count;
    }
}

/// A driver that knows its descriptors beforehand, with the flags of each lap.
#[derive(Debug)]
pub struct Driver {
    descriptors: Descriptors,
    /// The descriptors of whole bursts and whole laps, until both come again.
    known: Vec<[u64; 2]>,
    /// Those of one request.
    count: usize,
    added: usize,
    /// The first of `known` that is not published.
    next: usize,
    reap: Place,
}

impl Driver {
    /// Makes `requests` of this shape available.
    #[must_use]
    pub fn new(arena: &Arena, setup: &Setup, requests: &[Request], shape: Shape) -> Self {
        let burst: Vec<[u64; 2]> =
            requests.iter().flat_map(|request| in_ring(arena, request, shape)).collect();
        // A burst starts at the first slot of an even lap again after so many bursts.
        let bursts = (1..).find(|bursts| (bursts * burst.len()).is_multiple_of(2 * SIZE)).unwrap_or(1);
        let with_flags =
            |([address, rest], place): ([u64; 2], usize)| [address, rest | Place(place).available()];
        let known = burst.repeat(bursts).into_iter().zip(0..).map(with_flags).collect();
        Self {
            descriptors: descriptors(arena, setup),
            known,
            count: burst.len() / requests.len(),
            added: 0,
            next: 0,
            reap: Place::default(),
        }
    }
}

/// The descriptors of a request that go into the ring; its cookie is its id.
fn in_ring(arena: &Arena, request: &Request, shape: Shape) -> Vec<[u64; 2]> {
    let id = u64::from(request.cookie) << ID;
    let words = |segment: &Segment, flags| [segment.address, u64::from(segment.len) | id | flags];
    let readable = request.readable().iter().map(|segment| words(segment, NEXT));
    let writable = request.writable().iter().map(|segment| words(segment, NEXT | WRITE));
    let mut chain: Vec<_> = readable.chain(writable).collect();
    if let Some([_, last]) = chain.last_mut() {
        *last &= !NEXT;
    }
    if shape.is_indirect() {
        let bytes = arena.write_table(request, &chain);
        chain = vec![[request.table.address, bytes | id | INDIRECT]];
    }
    chain
}

impl DriverEnd for Driver {
    #[inline(always)]
    fn add(&mut self, _: &Request) {
        self.added += self.count;
    }

    #[inline(always)]
    fn publish(&mut self) {
        let end = self.next + self.added;
        for (slot, &[address, rest]) in (self.next..).zip(&self.known[self.next..end]) {
            let [to_address, to_rest] = &self.descriptors[slot % SIZE];
            to_address.store(address, Relaxed);
            to_rest.store(rest, Relaxed);
        }
        self.next = if end == self.known.len() { 0 } else { end };
        self.added = 0;
    }

    #[inline(always)]
    fn announce(&mut self) -> bool {
        false
    }

    #[inline(always)]
    fn reap(&mut self) -> Option<(u16, u32)> {
        let word = self.descriptors[self.reap.slot()][1].load(Relaxed);
        if word & (AVAIL | USED) != self.reap.used() {
            return None;
        }
        self.reap.advance(self.count);
        let [l0, l1, l2, l3, i0, i1, ..] = word.to_le_bytes();
        Some((u16::from_le_bytes([i0, i1]), u32::from_le_bytes([l0, l1, l2, l3])))
    }

    fn arm(&mut self) -> bool {
        true
    }
}

/// A device that returns whatever comes, without looking at more than its id.
#[derive(Debug)]
pub struct Device {
    descriptors: Descriptors,
    next: Place,
    /// Descriptors of each request.
    count: usize,
    /// What it would see in a burst.
    burst: Tally,
    /// The bytes that it says it wrote.
    written: u32,
}

impl Device {
    /// Serves `requests` of this shape.
    #[must_use]
    pub fn new(arena: &Arena, setup: &Setup, requests: &[Request], shape: Shape) -> Self {
        let count = if shape.is_indirect() { 1 } else { requests.first().map_or(0, Request::descriptors) };
        let (burst, written) = (Tally::seen(requests), requests.first().map_or(0, Request::written));
        Self { descriptors: descriptors(arena, setup), next: Place::default(), count, burst, written }
    }
}

impl DeviceEnd for Device {
    #[inline(always)]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        let mut count = 0;
        while count < limit {
            let first = &self.descriptors[self.next.slot()][1];
            if first.load(Relaxed) & (AVAIL | USED) != self.next.available() {
                break;
            }
            // The id of a buffer is in its last descriptor.
            let last = &self.descriptors[(self.next.0 + self.count - 1) % SIZE][1];
            let id = last.load(Relaxed) & 0xffff << ID;
            first.store(u64::from(self.written) | id | WRITE | self.next.used(), Relaxed);
            self.next.advance(self.count);
            count += 1;
        }
        tally.see(self.burst);
        count
    }

    #[inline(always)]
    fn announce(&mut self) -> bool {
        false
    }

    fn arm(&mut self) -> bool {
        true
    }
}
