//! Packed queues: two stores make a descriptor available; two accesses return a buffer.

use ring_core::memory::{Area as _, Load, Memory as _, RawArea, RawMemory, Store};
use ring_core::{QueueSize, Segment, Setup, packed};

use crate::{DeviceEnd, DriverEnd, Request, Shape, Tally};

/// `id` and `flags`, in the second word of a descriptor.
const ID: u32 = 32;
const NEXT: u64 = 1 << 48;
const WRITE: u64 = 2 << 48;
const INDIRECT: u64 = 4 << 48;
const AVAIL: u64 = 1 << 55;
const USED: u64 = 1 << 63;

/// An event suppression structure that asks to be notified of the first descriptor of the ring.
const AT_FIRST: u32 = 2 << 16 | 1 << 15;

/// The descriptor area. Both event suppression structures are set, so that the other end has to compare.
fn descriptors(memory: &RawMemory<'static>, setup: &Setup) -> RawArea<'static> {
    let layout = packed::layout(QueueSize::packed(setup.size).expect("a size within bounds"));
    let area = |address, len| memory.area(address, len).expect("the arena has room for the queue");
    area(setup.driver_area, layout.driver.size).store(0, AT_FIRST, Store::Relaxed);
    area(setup.device_area, layout.device.size).store(0, AT_FIRST, Store::Relaxed);
    area(setup.descriptor_area, layout.descriptor.size)
}

/// A place in the ring, and the flags of descriptors that are available or used there on this lap.
#[derive(Clone, Copy, Debug)]
struct Place {
    slot: usize,
    size: usize,
    available: u64,
    used: u64,
}

impl Place {
    const fn start(size: u16) -> Self {
        Self { slot: 0, size: size as usize, available: AVAIL, used: AVAIL | USED }
    }

    #[inline]
    const fn advance(&mut self, count: usize) {
        self.slot += count;
        if self.slot >= self.size {
            self.slot -= self.size;
            self.available ^= AVAIL | USED;
            self.used ^= AVAIL | USED;
        }
    }

    /// Offset of the second word of the descriptor here.
    #[inline]
    const fn meta(&self) -> usize {
        16 * self.slot + 8
    }
}

/// A driver that knows its descriptors beforehand, but for the lap.
#[derive(Debug)]
pub struct Driver {
    descriptors: RawArea<'static>,
    /// The descriptors of each request.
    chains: Vec<Vec<[u64; 2]>>,
    next: Place,
    reap: Place,
    /// The first descriptor that is not published: its offset and second word.
    held: Option<(usize, u64)>,
}

impl Driver {
    /// Makes `requests` of this shape available.
    #[must_use]
    pub fn new(memory: &RawMemory<'static>, setup: &Setup, requests: &[Request], shape: Shape) -> Self {
        let own = |request| if shape.is_indirect() { through_table(memory, request) } else { chain(request) };
        let chains = requests.iter().map(own).collect();
        let descriptors = descriptors(memory, setup);
        let start = Place::start(setup.size);
        Self { descriptors, chains, next: start, reap: start, held: None }
    }
}

/// The descriptors of a request; its cookie is its id.
fn chain(request: &Request) -> Vec<[u64; 2]> {
    let id = u64::from(request.cookie) << ID;
    let words = |segment: &Segment, flags| [segment.address, u64::from(segment.len) | id | flags];
    let readable = request.readable().iter().map(|segment| words(segment, NEXT));
    let writable = request.writable().iter().map(|segment| words(segment, NEXT | WRITE));
    let mut chain: Vec<_> = readable.chain(writable).collect();
    if let Some([_, last]) = chain.last_mut() {
        *last &= !NEXT;
    }
    chain
}

/// Writes a request's table. Returns the one descriptor that goes into the ring.
fn through_table(memory: &RawMemory<'static>, request: &Request) -> Vec<[u64; 2]> {
    let bytes: Vec<u8> = chain(request).into_iter().flatten().flat_map(u64::to_le_bytes).collect();
    memory.write_bytes(request.table.address, &bytes).expect("the table is in the arena");
    vec![[request.table.address, bytes.len() as u64 | u64::from(request.cookie) << ID | INDIRECT]]
}

impl DriverEnd for Driver {
    #[inline]
    fn add(&mut self, request: &Request) {
        for &[address, rest] in &self.chains[usize::from(request.cookie)] {
            let (meta, word) = (self.next.meta(), rest | self.next.available);
            self.descriptors.write(meta - 8, address);
            if self.held.is_none() {
                self.held = Some((meta, word));
            } else {
                self.descriptors.write(meta, word);
            }
            self.next.advance(1);
        }
    }

    #[inline]
    fn publish(&mut self) {
        if let Some((meta, word)) = self.held.take() {
            self.descriptors.store(meta, word, Store::Release);
        }
    }

    fn announce(&mut self) -> bool {
        false
    }

    fn arm(&mut self) -> bool {
        true
    }

    #[inline]
    fn reap(&mut self) -> Option<(u16, u32)> {
        let word: u64 = self.descriptors.load(self.reap.meta(), Load::Acquire);
        if word & (AVAIL | USED) != self.reap.used {
            return None;
        }
        let [l0, l1, l2, l3, i0, i1, ..] = word.to_le_bytes();
        let cookie = u16::from_le_bytes([i0, i1]);
        self.reap.advance(self.chains[usize::from(cookie)].len());
        Some((cookie, u32::from_le_bytes([l0, l1, l2, l3])))
    }
}

/// A device that returns whatever comes, without looking at more than its id.
#[derive(Debug)]
pub struct Device {
    descriptors: RawArea<'static>,
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
    pub fn new(memory: &RawMemory<'static>, setup: &Setup, requests: &[Request], shape: Shape) -> Self {
        let count = if shape.is_indirect() { 1 } else { requests.first().map_or(0, Request::descriptors) };
        let (descriptors, next) = (descriptors(memory, setup), Place::start(setup.size));
        let written = requests.first().map_or(0, Request::written);
        Self { descriptors, next, count, burst: Tally::seen(requests), written }
    }
}

impl DeviceEnd for Device {
    #[inline]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        let mut count = 0;
        while count < limit {
            let mut last = self.next;
            let word: u64 = self.descriptors.load(last.meta(), Load::Acquire);
            if word & (AVAIL | USED) != last.available {
                break;
            }
            // The id of a buffer is in its last descriptor.
            last.advance(self.count - 1);
            let word: u64 = self.descriptors.read(last.meta());
            let id = word & 0xffff << ID;
            let used = u64::from(self.written) | id | WRITE | self.next.used;
            self.descriptors.store(self.next.meta(), used, Store::Release);
            self.next.advance(self.count);
            count += 1;
        }
        tally.see(self.burst);
        count
    }

    fn announce(&mut self) -> bool {
        false
    }

    fn arm(&mut self) -> bool {
        true
    }
}
