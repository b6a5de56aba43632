//! Stubs of split queues. One store makes a burst available, and three accesses return a buffer.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use ring_core::Segment;

use super::SIZE;
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::request::Request;
use crate::tally::{Returned, Seen};

/// The flags of a descriptor, in the second word.
const NEXT: u64 = 1 << 32;
pub(crate) const WRITE: u64 = 2 << 32;
const INDIRECT: u64 = 4 << 32;

/// The offset of `idx` in either area, in 16-bit words.
pub(crate) const INDEX: usize = 1;

/// The descriptor area: `addr` of each descriptor, and then `len`, `flags` and `next` in one word.
pub(crate) type Descriptors = &'static [[AtomicU64; 2]; SIZE];
/// The driver area in 16-bit words: `flags`, `idx`, and then `ring`.
pub(crate) type Available = &'static [AtomicU16; 2 + SIZE];
/// The device area in 32-bit words: `flags` and `idx`, and then `id` and `len` of each entry.
pub(crate) type Used = &'static [AtomicU32; 1 + 2 * SIZE];
/// The first two fields of the device area in 16-bit words.
pub(crate) type UsedHead = &'static [AtomicU16; 2];

/// A driver that writes descriptors and the available ring once, at set-up.
#[derive(Debug)]
pub struct Driver {
    available: Available,
    used: Used,
    used_head: UsedHead,
    /// The cookie of the request for each head.
    cookies: [u16; SIZE],
    added: u16,
    reaped: u16,
}

impl Driver {
    /// Writes the requests of `fixture`.
    ///
    /// # Panics
    ///
    /// If the size of the ring is not a multiple of the burst, or the burst does not fit the ring.
    #[must_use]
    pub fn new(fixture: &Fixture) -> Self {
        let Fixture { arena, setup, requests, .. } = fixture;
        assert!(SIZE.is_multiple_of(requests.len()), "a burst straddles two laps");
        let descriptors: Descriptors = arena.view(setup.areas.descriptor);
        let available: Available = arena.view(setup.areas.driver);
        let mut cookies = [0; SIZE];
        let mut free = 0u16..;
        let mut room = descriptors.iter();
        for (request, first) in requests.iter().zip(0..) {
            let head = free.start;
            for [address, rest] in in_ring(fixture, request, head) {
                let descriptor = room.next().expect("a burst fits the ring");
                descriptor[0].store(address, Relaxed);
                descriptor[1].store(rest, Relaxed);
                free.next();
            }
            cookies[usize::from(head)] = request.cookie;
            for slot in (first..SIZE).step_by(requests.len()) {
                available[2 + slot].store(head, Relaxed);
            }
        }
        let (used, used_head) = (arena.view(setup.areas.device), arena.view(setup.areas.device));
        Self { available, used, used_head, cookies, added: 0, reaped: 0 }
    }
}

/// Returns the descriptors of a request for the ring, where the first one goes to `head`.
fn in_ring(fixture: &Fixture, request: &Request, head: u16) -> Vec<[u64; 2]> {
    if fixture.shapes.uses_tables() {
        let bytes = fixture.arena.write_table(request.table, &chain(request, 0));
        vec![[request.table.address, bytes | INDIRECT]]
    } else {
        chain(request, head)
    }
}

/// Returns the descriptors of the segments, where the first one goes to `head`.
fn chain(request: &Request, head: u16) -> Vec<[u64; 2]> {
    let words = |segment: &Segment, flags| [segment.address, u64::from(segment.len) | flags];
    let readable = request.readable().iter().map(|segment| words(segment, 0));
    let writable = request.writable().iter().map(|segment| words(segment, WRITE));
    let mut chain: Vec<_> = readable.chain(writable).collect();
    if let Some((_, before)) = chain.split_last_mut() {
        for ([_, rest], next) in before.iter_mut().zip(head + 1..) {
            *rest |= NEXT | u64::from(next) << 48;
        }
    }
    chain
}

impl DriverEnd for Driver {
    #[inline(never)]
    fn submit(&mut self, requests: &[Request]) {
        for _ in requests {
            self.added = self.added.wrapping_add(1);
        }
        self.available[INDEX].store(self.added, Relaxed);
    }

    #[inline(never)]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        while self.reaped != self.used_head[INDEX].load(Relaxed) {
            let entry = 1 + 2 * (usize::from(self.reaped) % SIZE);
            self.reaped = self.reaped.wrapping_add(1);
            let head = self.used[entry].load(Relaxed) as usize;
            returned.add(self.cookies[head % SIZE], self.used[entry + 1].load(Relaxed));
        }
        returned
    }
}

/// A device that returns every buffer without looking at descriptors.
#[derive(Debug)]
pub struct Device {
    available: Available,
    used: Used,
    used_head: UsedHead,
    served: u16,
    /// The sums of what a device sees in a burst.
    burst: Seen,
    /// The bytes that the device claims to have written to each buffer.
    written: u32,
}

impl Device {
    /// Prepares to serve the requests of `fixture`.
    #[must_use]
    pub fn new(fixture: &Fixture) -> Self {
        let Fixture { arena, setup, requests, .. } = fixture;
        let (used, used_head) = (arena.view(setup.areas.device), arena.view(setup.areas.device));
        let (burst, written) = (Seen::of(requests), requests.first().map_or(0, Request::written));
        Self { available: arena.view(setup.areas.driver), used, used_head, served: 0, burst, written }
    }
}

impl DeviceEnd for Device {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        let available = self.available[INDEX].load(Relaxed);
        let count = usize::from(available.wrapping_sub(self.served)).min(limit);
        for _ in 0..count {
            let slot = usize::from(self.served) % SIZE;
            let head = self.available[2 + slot].load(Relaxed);
            self.used[1 + 2 * slot].store(head.into(), Relaxed);
            self.used[2 + 2 * slot].store(self.written, Relaxed);
            self.served = self.served.wrapping_add(1);
        }
        self.used_head[INDEX].store(self.served, Relaxed);
        seen.add(self.burst);
        seen
    }
}
