//! Split queues: one store makes a burst available; three accesses return a buffer.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use ring_core::{Segment, Setup};

use super::SIZE;
use crate::{Arena, DeviceEnd, DriverEnd, Request, Shape, Tally};

/// `next` and `flags`, in the second word of a descriptor.
const NEXT: u64 = 1 << 32;
const WRITE: u64 = 2 << 32;
const INDIRECT: u64 = 4 << 32;

/// The place of `idx` in either area, in 16-bit words.
const INDEX: usize = 1;

/// The driver area in 16-bit words: `flags`, `idx`, `ring`.
type Available = &'static [AtomicU16; 2 + SIZE];
/// The device area in 32-bit words: `flags` and `idx`, then `id` and `len` of each entry.
type Used = &'static [AtomicU32; 1 + 2 * SIZE];
/// Its first two fields.
type UsedHead = &'static [AtomicU16; 2];

/// A driver that writes its descriptors and the available ring once.
#[derive(Debug)]
pub struct Driver {
    available: Available,
    used: Used,
    used_head: UsedHead,
    /// The cookie of the request at each descriptor that is a head.
    cookies: [u16; SIZE],
    added: u16,
    reaped: u16,
}

impl Driver {
    /// Writes `requests` of this shape.
    ///
    /// # Panics
    ///
    /// If a lap of the ring is no multiple of a burst, or a burst does not fit the ring.
    #[must_use]
    pub fn new(arena: &Arena, setup: &Setup, requests: &[Request], shape: Shape) -> Self {
        assert!(SIZE.is_multiple_of(requests.len()), "a burst straddles two laps");
        let descriptors: &[[AtomicU64; 2]; SIZE] = arena.view(setup.areas.descriptor);
        let available: Available = arena.view(setup.areas.driver);
        let mut cookies = [0; SIZE];
        let mut free = 0u16..;
        let mut room = descriptors.iter();
        for (request, first) in requests.iter().zip(0..) {
            let head = free.start;
            for [address, rest] in in_ring(arena, request, shape, head) {
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

/// The descriptors of a request that go into the ring, the first of which is at `head`.
fn in_ring(arena: &Arena, request: &Request, shape: Shape, head: u16) -> Vec<[u64; 2]> {
    if shape.is_indirect() {
        let bytes = arena.write_table(request, &chain(request, 0));
        vec![[request.table.address, bytes | INDIRECT]]
    } else {
        chain(request, head)
    }
}

/// The descriptors of a request, the first of which is at `head`.
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
    #[inline(always)]
    fn add(&mut self, _: &Request) {
        self.added = self.added.wrapping_add(1);
    }

    #[inline(always)]
    fn publish(&mut self) {
        self.available[INDEX].store(self.added, Relaxed);
    }

    #[inline(always)]
    fn announce(&mut self) -> bool {
        false
    }

    #[inline(always)]
    fn reap(&mut self) -> Option<(u16, u32)> {
        if self.reaped == self.used_head[INDEX].load(Relaxed) {
            return None;
        }
        let entry = 1 + 2 * (usize::from(self.reaped) % SIZE);
        self.reaped = self.reaped.wrapping_add(1);
        let head = self.used[entry].load(Relaxed) as usize;
        Some((self.cookies[head % SIZE], self.used[entry + 1].load(Relaxed)))
    }

    fn arm(&mut self) -> bool {
        true
    }
}

/// A device that returns whatever comes, without looking at descriptors.
#[derive(Debug)]
pub struct Device {
    available: Available,
    used: Used,
    used_head: UsedHead,
    served: u16,
    /// What it would see in a burst.
    burst: Tally,
    /// The bytes that it says it wrote.
    written: u32,
}

impl Device {
    /// Serves `requests` from the queue that `setup` says.
    #[must_use]
    pub fn new(arena: &Arena, setup: &Setup, requests: &[Request]) -> Self {
        let (used, used_head) = (arena.view(setup.areas.device), arena.view(setup.areas.device));
        let (burst, written) = (Tally::seen(requests), requests.first().map_or(0, Request::written));
        Self { available: arena.view(setup.areas.driver), used, used_head, served: 0, burst, written }
    }
}

impl DeviceEnd for Device {
    #[inline(always)]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
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
