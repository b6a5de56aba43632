//! What isolation-host does for each request besides copying: everything but notifications, on one thread.

use criterion::Criterion;
use isolation_host::area::Area;
use isolation_host::device_type::DeviceType;
use isolation_host::forward::{DeviceRing, ForwardedQueue};
use isolation_host::guest_memory::GuestMemory;
use isolation_host::mmap::Window;
use ring_core::memory::Memory;
use ring_core::{DeviceQueue, DriverQueue, Features, Position, Segment, Setup, device, driver};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::measure::{Contender, Timed, Work, compare, timed};

const QUEUE: u16 = 256;
const BURST: u32 = 32;
const MEMORY: u64 = 4 << 20;
const DATA: u64 = 1 << 20;

pub(crate) fn request(criterion: &mut Criterion) {
    for (name, len, packed) in
        [("64 B, split", 64, false), ("64 B, packed", 64, true), ("1500 B, split", 1500, false)]
    {
        let work = Work { group: "request", name, requests: BURST.into(), slice: 200, calibrator: None };
        let contender = |name: &str, make: fn(u32, Features) -> Timed| Contender {
            name: name.to_owned(),
            make: Box::new(move || make(len, if packed { Features::RING_PACKED } else { Features::empty() })),
        };
        compare(criterion, work, &[contender("direct", direct), contender("forwarded", forwarded)]);
    }
}

/// A guest that sends bursts of buffers of this length.
struct Guest {
    memory: GuestMemory,
    setup: Setup,
    ring: DriverQueue<GuestMemory, Vec<driver::Slot<u32>>, u32>,
    len: u32,
}

impl Guest {
    fn new(len: u32, features: Features) -> Self {
        let file = memfd_create("bench", MemfdFlags::CLOEXEC).expect("there are memfds");
        ftruncate(&file, MEMORY).expect("there is memory");
        let memory = GuestMemory::default();
        let window = Window::map(file, 0, MEMORY, 0).expect("it was made so large");
        memory.add(window, 0).expect("there is no other region");
        let (setup, _) = Setup::contiguous(0, QUEUE, features).expect("it is a power of two");
        let slots = vec![driver::Slot::EMPTY; QUEUE.into()];
        let ring = DriverQueue::new(memory.clone(), &setup, slots).expect("it fits");
        Self { memory, setup, ring, len }
    }

    fn send(&mut self) {
        for number in 0..BURST {
            let segment = Segment::new(DATA + u64::from(number) * 2048, self.len);
            self.ring.add(&[segment], &[], number).expect("all the others are back");
        }
        let _ = self.ring.publish();
    }

    fn collect_used(&mut self) {
        for _ in 0..BURST {
            assert!(self.ring.reap().expect("the device is honest").is_some());
        }
    }
}

/// A device that does nothing with what it gets.
fn serve<M: Memory>(ring: &mut DeviceQueue<M, Vec<device::Slot>>) {
    let mut segments = [Segment::default(); 4];
    while let Some(chain) = ring.pop(&mut segments).expect("the driver is honest") {
        ring.complete(chain.into_token(), 0).expect("it was just taken");
    }
    let _ = ring.publish();
}

fn direct(len: u32, features: Features) -> Timed {
    let mut guest = Guest::new(len, features);
    let slots = vec![device::Slot::default(); QUEUE.into()];
    let mut device = DeviceQueue::new(guest.memory.clone(), &guest.setup, slots).expect("it fits");
    timed(move || {
        guest.send();
        serve(&mut device);
        guest.collect_used();
    })
}

fn forwarded(len: u32, features: Features) -> Timed {
    let mut guest = Guest::new(len, features);
    let packed = features.contains(Features::RING_PACKED);
    let base = if packed { Position::PACKED_START.packed_base() } else { 0 };
    let shadow = ForwardedQueue::new(guest.memory.clone(), &guest.setup, base, DeviceType::Net, None);
    let mut shadow = shadow.expect("it is where it starts");
    let area = Area::new(8 << 20, 1).expect("there is memory");
    let share = area.share(0, QUEUE, features).expect("there is room");
    let slots = vec![device::Slot::default(); QUEUE.into()];
    let mut device = DeviceQueue::new(area.window().clone(), &share.setup, slots).expect("it fits");
    shadow.attach(DeviceRing::new(area.window().clone(), share).expect("it fits"));
    timed(move || {
        guest.send();
        assert!(shadow.poll().is_ok());
        serve(&mut device);
        assert!(shadow.poll().is_ok());
        guest.collect_used();
    })
}
