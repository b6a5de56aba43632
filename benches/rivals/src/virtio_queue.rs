//! rust-vmm's `virtio-queue`: the device's end of split queues.

use std::io::{Read as _, Write as _};

use ring_core::{Features, Segment, Setup};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _, QueueT as _};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::arena::Mapped;
use crate::case::{Case, Ends};
use crate::ends::{DeviceEnd, DriverEnd, Seen};
use crate::fixture::Fixture;
use crate::implementation::{Connect, Implementation, connect};
use crate::pair::{self, Pair};
use crate::payload::BYTES;
use crate::stub;

/// The crate, with one of the ways to take chains.
#[derive(Debug)]
pub enum VirtioQueue {
    /// One chain at a time.
    Popping,
    /// All available chains at a time.
    Iterating,
}

/// The crate, with one chain at a time.
pub const POPPING: VirtioQueue = VirtioQueue::Popping;
/// The crate, with all available chains at a time.
pub const ITERATING: VirtioQueue = VirtioQueue::Iterating;

impl Implementation for VirtioQueue {
    fn name(&self) -> &'static str {
        match self {
            Self::Popping => "virtio-queue",
            Self::Iterating => "virtio-queue, iterating",
        }
    }

    fn connect(&self, case: Case) -> Option<Connect> {
        match (self, case) {
            (Self::Popping, Case::Bursts(Ends::Device, _)) => {
                connect(move || behind_stub(case, Popping::new))
            }
            (Self::Iterating, Case::Bursts(Ends::Device, _)) => {
                connect(move || behind_stub(case, Iterating::new))
            }
            (Self::Popping, Case::Payload(_)) => connect(move || behind_stub(case, Copying::new)),
            _ => None,
        }
    }
}

/// Sets up a device and a stub of a driver.
fn behind_stub<V>(case: Case, device: fn(&Fixture) -> V) -> Box<dyn pair::Queue>
where
    V: DeviceEnd + Send + 'static,
{
    let fixture = Fixture::new(case, Features::empty());
    let (driver, device) = (stub::split::Driver::new(&fixture), device(&fixture));
    Pair::boxed(fixture, driver, device)
}

/// Sets up the device for a driver of another crate: iterating, unless requests come one by one.
pub(crate) fn behind(
    fixture: Fixture,
    case: Case,
    driver: impl DriverEnd + Send + 'static,
) -> Box<dyn pair::Queue> {
    if case.batch() == 1 {
        let device = Popping::new(&fixture);
        Pair::boxed(fixture, driver, device)
    } else {
        let device = Iterating::new(&fixture);
        Pair::boxed(fixture, driver, device)
    }
}

/// A queue with its memory.
#[derive(Debug)]
struct Ready {
    memory: Mapped,
    queue: Queue,
}

impl Ready {
    fn new(Fixture { arena, setup, .. }: &Fixture) -> Self {
        Self { memory: arena.mapped().clone(), queue: queue(arena.mapped(), setup) }
    }

    #[inline(always)]
    fn complete(&mut self, head: u16, written: u32) {
        let added = self.queue.add_used(&*self.memory, head, written);
        assert!(added.is_ok(), "the used ring is in memory");
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        self.queue.needs_notification(&*self.memory).expect("the driver area is in memory")
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        !self.queue.enable_notification(&*self.memory).expect("both areas are in memory")
    }
}

/// Returns the queue of this layout.
fn queue(memory: &Mapped, setup: &Setup) -> Queue {
    let mut queue = Queue::new(setup.size).expect("a power of two");
    queue.set_event_idx(true);
    queue.try_set_desc_table_address(GuestAddress(setup.areas.descriptor)).expect("it is aligned");
    queue.try_set_avail_ring_address(GuestAddress(setup.areas.driver)).expect("it is aligned");
    queue.try_set_used_ring_address(GuestAddress(setup.areas.device)).expect("it is aligned");
    queue.set_ready(true);
    assert!(queue.is_valid(&**memory));
    queue
}

/// Walks a chain. Returns how many bytes may be written.
#[inline(always)]
fn walk(chain: DescriptorChain<&GuestMemoryMmap>, seen: &mut Seen) -> u32 {
    let mut written = 0;
    for descriptor in chain {
        let segment = Segment::new(descriptor.addr().0, descriptor.len());
        if descriptor.is_write_only() {
            written += segment.len;
            seen.write(segment);
        } else {
            seen.read(segment);
        }
    }
    written
}

/// A device that takes one chain at a time, as most devices do.
#[derive(Debug)]
struct Popping(Ready);

impl Popping {
    fn new(fixture: &Fixture) -> Self {
        Self(Ready::new(fixture))
    }
}

impl DeviceEnd for Popping {
    #[inline(always)]
    fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize {
        for served in 0..limit {
            let Some(chain) = self.0.queue.pop_descriptor_chain(&*self.0.memory) else { return served };
            let head = chain.head_index();
            let written = walk(chain, seen);
            self.0.complete(head, written);
        }
        limit
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        self.0.decide()
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        self.0.arm()
    }
}

/// A device that takes all available chains and then returns them, the fastest way that the crate
/// offers.
#[derive(Debug)]
struct Iterating {
    ready: Ready,
    /// The head of each chain that was taken, and the bytes written.
    taken: Vec<(u16, u32)>,
}

impl Iterating {
    fn new(fixture: &Fixture) -> Self {
        Self { ready: Ready::new(fixture), taken: Vec::with_capacity(fixture.setup.size.into()) }
    }
}

impl DeviceEnd for Iterating {
    #[inline(always)]
    fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize {
        let chains = self.ready.queue.iter(&*self.ready.memory).expect("the driver area is in memory");
        for chain in chains.take(limit) {
            let head = chain.head_index();
            self.taken.push((head, walk(chain, seen)));
        }
        let served = self.taken.len();
        for (head, written) in self.taken.drain(..) {
            self.ready.complete(head, written);
        }
        served
    }

    #[inline(always)]
    fn decide(&mut self) -> bool {
        self.ready.decide()
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        self.ready.arm()
    }
}

/// A device that copies what it reads to where it may write.
#[derive(Debug)]
struct Copying {
    ready: Ready,
    buffer: [u8; BYTES],
}

impl Copying {
    fn new(fixture: &Fixture) -> Self {
        Self { ready: Ready::new(fixture), buffer: [0; BYTES] }
    }
}

impl DeviceEnd for Copying {
    #[inline]
    fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize {
        let memory: &GuestMemoryMmap = &self.ready.memory;
        for served in 0..limit {
            let Some(chain) = self.ready.queue.pop_descriptor_chain(memory) else { return served };
            let head = chain.head_index();
            walk(chain.clone(), seen);
            let mut reader = chain.clone().reader(memory).expect("the chain is in memory");
            reader.read_exact(&mut self.buffer).expect("the chain has as many readable bytes");
            let mut writer = chain.writer(memory).expect("the chain is in memory");
            writer.write_all(&self.buffer).expect("the chain has as many writable bytes");
            let written = u32::try_from(writer.bytes_written()).expect("a chain is short");
            self.ready.queue.add_used(memory, head, written).expect("the used ring is in memory");
        }
        limit
    }

    fn decide(&mut self) -> bool {
        self.ready.decide()
    }

    fn arm(&mut self) -> bool {
        self.ready.arm()
    }
}
