//! Times the work of isolation-host for each request, without notifications, on one thread.

use std::time::Instant;

use criterion::Criterion;
use isolation_host::area::Area;
use isolation_host::area::policy::{Policy, SCRUB_INTERVAL};
use isolation_host::device_type::DeviceType;
use isolation_host::forward::{DeviceRing, ForwardedQueue};
use isolation_host::guest_memory::GuestMemory;
use isolation_host::mmap::Window;
use ring_core::memory::Memory;
use ring_core::{DeviceQueue, DriverQueue, Features, Position, Segment, Setup, device, driver};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::measure::{Benchmark, Comparison, MEASUREMENT, Timed, compare, repeated};

const QUEUE: u16 = 256;
const BURST: u32 = 32;
const MEMORY: u64 = 4 << 20;
const DATA: u64 = 1 << 20;

pub(crate) fn request(criterion: &mut Criterion) {
    for (name, len, packed) in
        [("64 B, split", 64, false), ("64 B, packed", 64, true), ("1500 B, split", 1500, false)]
    {
        let comparison = Comparison {
            group: "request",
            name,
            requests: BURST.into(),
            slice: 200,
            processors: None,
            measurement: MEASUREMENT,
        };
        let features = if packed { Features::RING_PACKED } else { Features::empty() };
        let benchmark = |name: &str, set_up: fn(u32, Features) -> Timed| Benchmark {
            name: name.to_owned(),
            set_up: Box::new(move || set_up(len, features)),
        };
        let forwarded = |len, features| forwarded(len, features, Direction::ToDevice, Policy::default());
        compare(criterion, comparison, &[benchmark("direct", direct), benchmark("forwarded", forwarded)]);
    }
}

/// The direction in which buffers carry data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToDevice,
    FromDevice,
}

/// A guest that sends bursts of buffers of one length.
struct Guest {
    memory: GuestMemory,
    setup: Setup,
    ring: DriverQueue<GuestMemory, Vec<driver::Slot<u32>>, u32>,
    len: u32,
    direction: Direction,
}

impl Guest {
    fn new(len: u32, features: Features, direction: Direction) -> Self {
        let file = memfd_create("bench", MemfdFlags::CLOEXEC).expect("the system has memfds");
        ftruncate(&file, MEMORY).expect("the system has memory");
        let memory = GuestMemory::default();
        let window = Window::map(file, 0, MEMORY, 0).expect("the file has this size");
        memory.add(window, 0).expect("no other region overlaps");
        let (setup, _) = Setup::contiguous(0, QUEUE, features).expect("the size is a power of two");
        let slots = vec![driver::Slot::EMPTY; QUEUE.into()];
        let ring = DriverQueue::new(memory.clone(), &setup, slots).expect("the queue fits");
        Self { memory, setup, ring, len, direction }
    }

    fn send(&mut self) {
        for number in 0..BURST {
            let segment = [Segment::new(DATA + u64::from(number * self.len.max(2048)), self.len)];
            let (readable, writable) = match self.direction {
                Direction::ToDevice => (&segment[..], &[][..]),
                Direction::FromDevice => (&[][..], &segment[..]),
            };
            self.ring.add(readable, writable, number).expect("all earlier buffers were reaped");
        }
        let _ = self.ring.publish();
    }

    fn collect_used(&mut self) {
        for _ in 0..BURST {
            assert!(self.ring.reap().expect("the device follows the rules").is_some());
        }
    }
}

/// Serves all available buffers without accessing them. Reports all buffers as filled.
fn serve<M: Memory>(ring: &mut DeviceQueue<M, Vec<device::Slot>>) {
    let mut segments = [Segment::default(); 4];
    while let Some(chain) = ring.pop(&mut segments).expect("the driver follows the rules") {
        let written = chain.writable().iter().map(|segment| segment.len).sum();
        ring.complete(chain.into_token(), written).expect("the token is fresh");
    }
    let _ = ring.publish();
}

fn direct(len: u32, features: Features) -> Timed {
    let mut guest = Guest::new(len, features, Direction::ToDevice);
    let slots = vec![device::Slot::EMPTY; QUEUE.into()];
    let mut device = DeviceQueue::new(guest.memory.clone(), &guest.setup, slots).expect("the queue fits");
    repeated(move || {
        guest.send();
        serve(&mut device);
        guest.collect_used();
    })
}

pub(crate) fn forwarded(len: u32, features: Features, direction: Direction, policy: Policy) -> Timed {
    let mut guest = Guest::new(len, features, direction);
    let packed = features.contains(Features::RING_PACKED);
    let base = if packed { Position::PACKED_START.packed_base() } else { 0 };
    let queue = ForwardedQueue::new(guest.memory.clone(), &guest.setup, base, DeviceType::Net, None);
    let mut queue = queue.expect("the queue is at its start");
    let area = Area::new(8 << 20, 1).expect("the system has memory");
    let share = area.share(0, QUEUE, features).expect("the area has room");
    let slots = vec![device::Slot::EMPTY; QUEUE.into()];
    let mut device = DeviceQueue::new(area.window().clone(), &share.setup, slots).expect("the queue fits");
    queue.attach(DeviceRing::new(area.window().clone(), share, policy, None).expect("the queue fits"));
    let mut scrubbed = Instant::now();
    repeated(move || {
        guest.send();
        assert!(queue.poll(Instant::now()).is_ok());
        serve(&mut device);
        assert!(queue.poll(Instant::now()).is_ok());
        guest.collect_used();
        if scrubbed.elapsed() >= SCRUB_INTERVAL {
            while queue.has_residue() && queue.scrub() {}
            scrubbed = Instant::now();
        }
    })
}
