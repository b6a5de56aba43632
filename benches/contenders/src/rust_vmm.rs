//! rust-vmm's `virtio-queue`: the device's end of split queues.

use ring_core::{Segment, Setup};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _, QueueT as _};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::arena::Mapped;
use crate::{DeviceEnd, Tally};

/// A queue whose address and memory are set.
#[derive(Debug)]
struct Ready {
    memory: Mapped,
    queue: Queue,
}

impl Ready {
    fn new(memory: &Mapped, setup: &Setup) -> Self {
        Self { memory: memory.clone(), queue: queue(memory, setup) }
    }

    #[inline(always)]
    fn complete(&mut self, head: u16, written: u32) {
        let added = self.queue.add_used(&*self.memory, head, written);
        assert!(added.is_ok(), "the used ring is in memory");
    }

    #[inline(always)]
    fn announce(&mut self) -> bool {
        self.queue.needs_notification(&*self.memory).expect("the driver area is in memory")
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        !self.queue.enable_notification(&*self.memory).expect("both areas are in memory")
    }
}

/// The queue that `setup` says.
pub(crate) fn queue(memory: &Mapped, setup: &Setup) -> Queue {
    let mut queue = Queue::new(setup.size).expect("a power of two");
    queue.set_event_idx(true);
    queue.try_set_desc_table_address(GuestAddress(setup.areas.descriptor)).expect("it is aligned");
    queue.try_set_avail_ring_address(GuestAddress(setup.areas.driver)).expect("it is aligned");
    queue.try_set_used_ring_address(GuestAddress(setup.areas.device)).expect("it is aligned");
    queue.set_ready(true);
    assert!(queue.is_valid(&**memory));
    queue
}

/// Walks a chain, and returns how many bytes may be written.
#[inline(always)]
pub(crate) fn walk(chain: DescriptorChain<&GuestMemoryMmap>, tally: &mut Tally) -> u32 {
    let mut written = 0;
    for descriptor in chain {
        let segment = Segment::new(descriptor.addr().0, descriptor.len());
        if descriptor.is_write_only() {
            written += segment.len;
            tally.write(segment);
        } else {
            tally.read(segment);
        }
    }
    written
}

/// Takes one chain at a time, as most devices do.
#[derive(Debug)]
pub struct Popping(Ready);

impl Popping {
    /// The device's end of the queue that `setup` says.
    ///
    /// # Panics
    ///
    /// If the queue cannot be set up.
    #[must_use]
    pub fn new(memory: &Mapped, setup: &Setup) -> Self {
        Self(Ready::new(memory, setup))
    }
}

impl DeviceEnd for Popping {
    #[inline(always)]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        for served in 0..limit {
            let Some(chain) = self.0.queue.pop_descriptor_chain(&*self.0.memory) else { return served };
            let head = chain.head_index();
            let written = walk(chain, tally);
            self.0.complete(head, written);
        }
        limit
    }

    #[inline(always)]
    fn announce(&mut self) -> bool {
        self.0.announce()
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        self.0.arm()
    }
}

/// Takes all chains there are, then returns them: the fastest way that the crate offers.
#[derive(Debug)]
pub struct Iterating {
    ready: Ready,
    /// Head and bytes written of what was taken.
    taken: Vec<(u16, u32)>,
}

impl Iterating {
    /// The device's end of the queue that `setup` says.
    ///
    /// # Panics
    ///
    /// If the queue cannot be set up.
    #[must_use]
    pub fn new(memory: &Mapped, setup: &Setup) -> Self {
        Self { ready: Ready::new(memory, setup), taken: Vec::with_capacity(setup.size.into()) }
    }
}

impl DeviceEnd for Iterating {
    #[inline(always)]
    fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
        let chains = self.ready.queue.iter(&*self.ready.memory).expect("the driver area is in memory");
        for chain in chains.take(limit) {
            let head = chain.head_index();
            self.taken.push((head, walk(chain, tally)));
        }
        let served = self.taken.len();
        for (head, written) in self.taken.drain(..) {
            self.ready.complete(head, written);
        }
        served
    }

    #[inline(always)]
    fn announce(&mut self) -> bool {
        self.ready.announce()
    }

    #[inline(always)]
    fn arm(&mut self) -> bool {
        self.ready.arm()
    }
}
