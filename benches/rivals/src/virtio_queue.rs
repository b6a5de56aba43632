//! rust-vmm's `virtio-queue`: the device's end of split queues.

use std::io::{Read as _, Write as _};
use std::marker::PhantomData;
use std::ops::Deref;

use ring_core::{Features, Segment, Setup};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _, QueueT as _};
use vm_memory::{GuestAddress, GuestMemory};

use crate::arena::Mapped;
use crate::case::{Bursts, Case, Ends};
use crate::ends::DeviceEnd;
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{self, Pair};
use crate::payload::BYTES;
use crate::stub;
use crate::tally::Seen;

/// The crate, with a device of one of the types below and a stub of a driver.
#[derive(Debug)]
pub struct VirtioQueue<V>(PhantomData<V>);

impl<V> VirtioQueue<V> {
    /// Returns the implementation.
    #[expect(clippy::new_without_default, reason = "a marker type, without a value")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// A device, which uses the crate in one way.
pub trait Device: DeviceEnd + Send + 'static {
    /// Returns whether the device measures this case.
    fn supports(case: Case) -> bool;

    /// Makes the device's end of the queue in `fixture`.
    fn new(fixture: &Fixture) -> Self;
}

impl<V: Device> Implementation for VirtioQueue<V> {
    fn connect(&self, case: Case) -> Option<Box<dyn pair::Queue>> {
        if !V::supports(case) {
            return None;
        }
        let fixture = Fixture::new(case, Features::empty());
        let (driver, device) = (stub::split::Driver::new(&fixture), V::new(&fixture));
        Some(Pair::boxed(fixture, driver, device))
    }
}

/// A handle to guest memory. The devices below are generic over the handle, so that each program
/// compiles only the device that it uses.
pub trait Shared: Deref<Target: GuestMemory + Sized> {}

impl<M: Deref<Target: GuestMemory + Sized>> Shared for M {}

/// A queue with its memory.
#[derive(Debug)]
struct Ready<M> {
    memory: M,
    queue: Queue,
}

impl Ready<Mapped> {
    fn new(Fixture { arena, setup, .. }: &Fixture) -> Self {
        Self { memory: arena.mapped().clone(), queue: queue(arena.mapped(), setup) }
    }
}

impl<M: Shared> Ready<M> {
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

/// Reads all descriptors of a chain. Returns how many bytes may be written.
#[inline(always)]
fn walk<M: GuestMemory>(chain: DescriptorChain<&M>, seen: &mut Seen) -> u32 {
    let mut written = 0;
    seen.chains += 1;
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
pub struct Popping<M = Mapped>(Ready<M>);

impl Device for Popping {
    fn supports(case: Case) -> bool {
        matches!(case, Case::Bursts(Bursts { ends: Ends::Device, .. }))
    }

    fn new(fixture: &Fixture) -> Self {
        Self(Ready::new(fixture))
    }
}

impl<M: Shared> DeviceEnd for Popping<M> {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        for _ in 0..limit {
            let Some(chain) = self.0.queue.pop_descriptor_chain(&*self.0.memory) else { break };
            let head = chain.head_index();
            let written = walk(chain, &mut seen);
            self.0.complete(head, written);
        }
        seen
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
pub struct Iterating<M = Mapped> {
    ready: Ready<M>,
    /// The head of each chain that was taken, and the bytes written.
    taken: Vec<(u16, u32)>,
}

impl Device for Iterating {
    fn supports(case: Case) -> bool {
        Popping::supports(case)
    }

    fn new(fixture: &Fixture) -> Self {
        Self { ready: Ready::new(fixture), taken: Vec::with_capacity(fixture.setup.size.into()) }
    }
}

impl<M: Shared> DeviceEnd for Iterating<M> {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        let chains = self.ready.queue.iter(&*self.ready.memory).expect("the driver area is in memory");
        for chain in chains.take(limit) {
            let head = chain.head_index();
            self.taken.push((head, walk(chain, &mut seen)));
        }
        for (head, written) in self.taken.drain(..) {
            self.ready.complete(head, written);
        }
        seen
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

/// A device that copies the readable bytes to the writable segments.
#[derive(Debug)]
pub struct Copying<M = Mapped> {
    ready: Ready<M>,
    buffer: [u8; BYTES],
}

impl Device for Copying {
    fn supports(case: Case) -> bool {
        matches!(case, Case::Payload(_))
    }

    fn new(fixture: &Fixture) -> Self {
        Self { ready: Ready::new(fixture), buffer: [0; BYTES] }
    }
}

impl<M: Shared> DeviceEnd for Copying<M> {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        let memory = &*self.ready.memory;
        for _ in 0..limit {
            let Some(chain) = self.ready.queue.pop_descriptor_chain(memory) else { break };
            let head = chain.head_index();
            walk(chain.clone(), &mut seen);
            let mut reader = chain.clone().reader(memory).expect("the chain is in memory");
            reader.read_exact(&mut self.buffer).expect("the chain has as many readable bytes");
            let mut writer = chain.writer(memory).expect("the chain is in memory");
            writer.write_all(&self.buffer).expect("the chain has as many writable bytes");
            let written = u32::try_from(writer.bytes_written()).expect("a chain is short");
            self.ready.queue.add_used(memory, head, written).expect("the used ring is in memory");
        }
        seen
    }

    fn decide(&mut self) -> bool {
        self.ready.decide()
    }

    fn arm(&mut self) -> bool {
        self.ready.arm()
    }
}
