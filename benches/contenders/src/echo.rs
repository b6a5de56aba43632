//! Devices that copy what they read to where they may write.

use std::io::{Read as _, Write as _};

use ring_core::memory::Memory;
use ring_core::{Features, Reader, Segment, Writer, device, split};
use virtio_queue::{Queue, QueueT as _};
use vm_memory::GuestMemoryMmap;

use crate::arena::Mapped;
use crate::ours::MOST_SEGMENTS;
use crate::works::pair;
use crate::{Arena, DeviceEnd, Place, Request, Shape, Tally, Work, rust_vmm, stub};

/// Bytes that each request carries each way.
pub const BYTES: usize = 4096;

/// Requests of a burst.
pub const REQUESTS: u16 = 4;

/// Whoever copies.
#[derive(Clone, Copy, Debug)]
pub struct Entrant {
    /// What it is called in reports.
    pub name: &'static str,
    /// Sets it up.
    pub make: fn(Shape) -> Box<dyn Work>,
}

/// The bytes in one, four and sixteen segments each way.
pub const SHAPES: [Shape; 3] = [
    Shape { readable: &[4096], writable: &[4096], place: Place::Ring },
    Shape { readable: &[1024; 4], writable: &[1024; 4], place: Place::Ring },
    Shape { readable: &[256; 16], writable: &[256; 16], place: Place::Ring },
];

/// All who copy.
pub const ENTRANTS: &[Entrant] = &[
    Entrant {
        name: "ring-core",
        make: |shape| {
            with_driver(shape, |arena, setup| {
                let slots = vec![device::Slot::default(); setup.size.into()];
                let queue = split::DeviceQueue::new(arena.raw(), setup, slots).expect("the arena has room");
                Ours { memory: arena.raw(), queue, buffer: [0; BYTES] }
            })
        },
    },
    Entrant {
        name: "ring-core on vm-memory",
        make: |shape| {
            with_driver(shape, |arena, setup| {
                let slots = vec![device::Slot::default(); setup.size.into()];
                let queue = split::DeviceQueue::new(arena.vm(), setup, slots).expect("the arena has room");
                Ours { memory: arena.vm(), queue, buffer: [0; BYTES] }
            })
        },
    },
    Entrant {
        name: "virtio-queue",
        make: |shape| {
            with_driver(shape, |arena, setup| Theirs {
                memory: arena.mapped().clone(),
                queue: rust_vmm::queue(arena.mapped(), setup),
                buffer: [0; BYTES],
            })
        },
    },
];

fn with_driver<V: DeviceEnd + 'static>(
    shape: Shape,
    device: impl Fn(&Arena, &ring_core::Setup) -> V,
) -> Box<dyn Work> {
    let arena = Arena::new();
    let (setup, requests) = (arena.setup(Features::empty()), Request::some(&arena, shape, REQUESTS));
    let driver = stub::split::Driver::new(&arena, &setup, &requests, shape);
    let work = pair(driver, device(&arena, &setup), requests);
    verify(&arena, shape, work)
}

/// Passes one burst and compares what arrived.
fn verify(arena: &Arena, shape: Shape, mut work: Box<dyn Work>) -> Box<dyn Work> {
    let memory = arena.raw();
    let pattern = |cookie: u16, index: u16| {
        let ([low, high], [own, _]) = (index.to_le_bytes(), cookie.to_le_bytes());
        low ^ high ^ own
    };
    for request in Request::some(arena, shape, REQUESTS) {
        let mut bytes = (0..).map(|index| pattern(request.cookie, index));
        for segment in request.readable() {
            let part: Vec<u8> = bytes.by_ref().take(segment.len as usize).collect();
            memory.write_bytes(segment.address, &part).expect("the arena has room");
        }
    }
    work.burst();
    for request in Request::some(arena, shape, REQUESTS) {
        let mut bytes = (0..).map(|index| pattern(request.cookie, index));
        for segment in request.writable() {
            let mut part = vec![0; segment.len as usize];
            memory.read_bytes(segment.address, &mut part).expect("the arena has room");
            assert!(part.into_iter().eq(bytes.by_ref().take(segment.len as usize)), "bytes were lost");
        }
    }
    work
}

/// ring-core's device.
struct Ours<M: Memory> {
    memory: M,
    queue: split::DeviceQueue<M, Vec<device::Slot>>,
    buffer: [u8; BYTES],
}

impl<M: Memory> DeviceEnd for Ours<M> {
    #[inline]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        let mut segments = [Segment::default(); MOST_SEGMENTS];
        for served in 0..limit {
            let popped = self.queue.pop(&mut segments).expect("the driver follows the rules");
            let Some(chain) = popped else { return served };
            chain.readable().iter().for_each(|&segment| tally.read(segment));
            chain.writable().iter().for_each(|&segment| tally.write(segment));
            Reader::new(&self.memory, chain.readable()).read(&mut self.buffer).expect("there are as many");
            let mut writer = Writer::new(&self.memory, chain.writable());
            writer.write(&self.buffer).expect("there is room");
            let token = chain.into_token();
            let written = token.writable();
            self.queue.complete(token, written).expect("the token is fresh");
            self.queue.publish_silently();
        }
        limit
    }

    fn announce(&mut self) -> bool {
        self.queue.publish().is_needed()
    }

    fn arm(&mut self) -> bool {
        self.queue.arm() == ring_core::Arm::Armed
    }
}

/// virtio-queue's device.
struct Theirs {
    memory: Mapped,
    queue: Queue,
    buffer: [u8; BYTES],
}

impl DeviceEnd for Theirs {
    #[inline]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        let memory: &GuestMemoryMmap = &self.memory;
        for served in 0..limit {
            let Some(chain) = self.queue.pop_descriptor_chain(memory) else { return served };
            let head = chain.head_index();
            rust_vmm::walk(chain.clone(), tally);
            let mut reader = chain.clone().reader(memory).expect("the chain is in memory");
            reader.read_exact(&mut self.buffer).expect("there are as many");
            let mut writer = chain.writer(memory).expect("the chain is in memory");
            writer.write_all(&self.buffer).expect("there is room");
            let written = u32::try_from(writer.bytes_written()).expect("a chain is short");
            self.queue.add_used(memory, head, written).expect("the used ring is in memory");
        }
        limit
    }

    fn announce(&mut self) -> bool {
        self.queue.needs_notification(&*self.memory).expect("the driver area is in memory")
    }

    fn arm(&mut self) -> bool {
        !self.queue.enable_notification(&*self.memory).expect("both areas are in memory")
    }
}
