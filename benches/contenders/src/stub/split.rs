//! Split queues: one store makes a burst available; three accesses return a buffer.

use ring_core::memory::{Area as _, Load, Memory as _, RawArea, RawMemory, Store};
use ring_core::{QueueSize, Segment, Setup, split};

use crate::{DeviceEnd, DriverEnd, Request, Shape, Tally};

/// `next` and `flags`, in the second word of a descriptor.
const NEXT: u64 = 1 << 32;
const WRITE: u64 = 2 << 32;
const INDIRECT: u64 = 4 << 32;

/// Offset of `idx` in the driver and the device area.
const INDEX: usize = 2;

/// The descriptor, driver and device area.
fn areas(memory: &RawMemory<'static>, setup: &Setup) -> [RawArea<'static>; 3] {
    let layout = split::layout(QueueSize::split(setup.size).expect("a power of two"));
    let area = |address, len| memory.area(address, len).expect("the arena has room for the queue");
    [
        area(setup.descriptor_area, layout.descriptor.size),
        area(setup.driver_area, layout.driver.size),
        area(setup.device_area, layout.device.size),
    ]
}

/// A driver that writes its descriptors and the available ring once.
#[derive(Debug)]
pub struct Driver {
    available: RawArea<'static>,
    used: RawArea<'static>,
    mask: u16,
    /// The cookie of the request at each descriptor that is a head.
    cookies: Vec<u16>,
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
    pub fn new(memory: &RawMemory<'static>, setup: &Setup, requests: &[Request], shape: Shape) -> Self {
        let [descriptors, available, used] = areas(memory, setup);
        let size = usize::from(setup.size);
        assert!(size.is_multiple_of(requests.len()), "a burst straddles two laps");
        let mut cookies = vec![0; size];
        let mut free = 0..setup.size;
        for (request, first) in requests.iter().zip(0..) {
            let head = free.start;
            let own = if shape.is_indirect() { through_table(memory, request) } else { chain(request, head) };
            for [address, rest] in own {
                let index = usize::from(free.next().expect("a burst fits the ring"));
                descriptors.write(16 * index, address);
                descriptors.write(16 * index + 8, rest);
            }
            cookies[usize::from(head)] = request.cookie;
            for slot in (first..size).step_by(requests.len()) {
                available.write(4 + 2 * slot, head);
            }
        }
        Self { available, used, mask: setup.size - 1, cookies, added: 0, reaped: 0 }
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

/// Writes a request's table. Returns the one descriptor that goes into the ring.
fn through_table(memory: &RawMemory<'static>, request: &Request) -> Vec<[u64; 2]> {
    let bytes: Vec<u8> = chain(request, 0).into_iter().flatten().flat_map(u64::to_le_bytes).collect();
    memory.write_bytes(request.table.address, &bytes).expect("the table is in the arena");
    vec![[request.table.address, bytes.len() as u64 | INDIRECT]]
}

impl DriverEnd for Driver {
    #[inline]
    fn add(&mut self, _: &Request) {
        self.added = self.added.wrapping_add(1);
    }

    #[inline]
    fn publish(&mut self) {
        self.available.store(INDEX, self.added, Store::Release);
    }

    fn announce(&mut self) -> bool {
        false
    }

    fn arm(&mut self) -> bool {
        true
    }

    #[inline]
    fn reap(&mut self) -> Option<(u16, u32)> {
        if self.reaped == self.used.load::<u16>(INDEX, Load::Acquire) {
            return None;
        }
        let entry = 4 + 8 * usize::from(self.reaped & self.mask);
        self.reaped = self.reaped.wrapping_add(1);
        let head: u32 = self.used.read(entry);
        Some((self.cookies[head as usize], self.used.read(entry + 4)))
    }
}

/// A device that returns whatever comes, without looking at descriptors.
#[derive(Debug)]
pub struct Device {
    available: RawArea<'static>,
    used: RawArea<'static>,
    mask: u16,
    served: u16,
    /// What it would see in a burst.
    burst: Tally,
    /// The bytes that it says it wrote.
    written: u32,
}

impl Device {
    /// Serves `requests` from the queue that `setup` says.
    #[must_use]
    pub fn new(memory: &RawMemory<'static>, setup: &Setup, requests: &[Request]) -> Self {
        let [_, available, used] = areas(memory, setup);
        let written = requests.first().map_or(0, Request::written);
        Self { available, used, mask: setup.size - 1, served: 0, burst: Tally::seen(requests), written }
    }
}

impl DeviceEnd for Device {
    #[inline]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        let available: u16 = self.available.load(INDEX, Load::Acquire);
        let count = usize::from(available.wrapping_sub(self.served)).min(limit);
        for _ in 0..count {
            let slot = usize::from(self.served & self.mask);
            let head: u16 = self.available.read(4 + 2 * slot);
            self.used.write(4 + 8 * slot, u32::from(head));
            self.used.write(4 + 8 * slot + 4, self.written);
            self.served = self.served.wrapping_add(1);
        }
        self.used.store(INDEX, self.served, Store::Release);
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
