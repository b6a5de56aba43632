//! A running virtqueue: a ring of ring-core at the addresses that the front-end has set.
//!
//! `vhost-user-backend` keeps a split queue for each ring. Only its settings are used: the
//! addresses, whether the ring runs, the eventfds, and the position.

use std::sync::Arc;

use ring_core::device::Slot;
use ring_core::memory::VmMemory;
use ring_core::{
    Areas, Arm, Chain, DeviceQueue, Features, PopError, Position, Segment, Setup, SetupError, Token,
};
use tracing::{debug, warn};
use vhost_user_backend::VringT;
use virtio_queue::QueueT;
use vm_memory::GuestMemoryMmap;

use super::vring::Vring;
use crate::stream::{Completion, Message};

/// A memory table of the guest. The front-end may replace it by another one.
pub(crate) type GuestMemory = Arc<GuestMemoryMmap>;

/// A running queue.
#[derive(Debug)]
pub(crate) struct Queue {
    ring: DeviceQueue<VmMemory<GuestMemory>, Box<[Slot]>>,
    vring: Vring,
}

impl Queue {
    /// Starts a queue at the position where it was stopped, by this process or another one.
    pub(crate) fn start(vring: &Vring, memory: GuestMemory, features: Features) -> Result<Self, SetupError> {
        let (setup, base) = {
            let state = vring.get_ref();
            let queue = state.get_queue();
            let setup = Setup::new(
                vring.size(),
                features,
                Areas {
                    descriptor: queue.desc_table(),
                    driver: queue.avail_ring(),
                    device: queue.used_ring(),
                },
            );
            (setup, queue.next_avail())
        };
        let slots = vec![Slot::default(); setup.size.into()].into_boxed_slice();
        let mut ring = DeviceQueue::new(VmMemory::new(memory), &setup, slots)?;
        // vhost-user-backend keeps 16 bits of the position. They are enough for a packed ring,
        // which is only stopped with nothing in flight; a split ring has the used index in memory.
        let position = match &ring {
            DeviceQueue::Split(_) => ring.position_of(base.into()),
            DeviceQueue::Packed(_) => Position::quiescent(base),
        };
        ring.resume(position)?;
        Ok(Self { ring, vring: vring.clone() })
    }

    pub(crate) const fn position(&self) -> Position {
        self.ring.position()
    }

    /// Returns whether the front-end lets the queue run.
    pub(crate) fn is_live(&self) -> bool {
        self.vring.is_live()
    }

    pub(crate) const fn memory(&self) -> &VmMemory<GuestMemory> {
        self.ring.memory()
    }

    /// Pops the next chain. A chain of too many segments is returned to the driver unused.
    pub(crate) fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Option<Chain<'s>> {
        match self.ring.pop(segments) {
            Ok(chain) => chain,
            Err(PopError::TooLong(token)) => {
                debug!("a buffer has too many segments");
                self.complete(token, 0);
                None
            }
            Err(PopError::Violation(violation)) => {
                warn!("the driver has corrupted a queue, which is unusable until its reset: {violation}");
                None
            }
        }
    }

    /// Returns a chain to the driver.
    pub(crate) fn complete(&mut self, token: Token, written: u32) {
        if let Err(error) = self.ring.complete(token, written) {
            debug!("cannot return a buffer: {error}");
        }
    }

    /// Writes the results of messages and returns their chains to the driver.
    pub(crate) fn complete_all(&mut self, completions: Vec<Completion>) {
        for completion in completions {
            let (token, written) = completion.write(self.ring.memory());
            self.complete(token, written);
        }
    }

    /// Undoes the pop of the message that was popped last. Returns any other message as an error.
    pub(crate) fn unpop(&mut self, message: Message) -> Result<(), Message> {
        message.unpop(|token| self.ring.unpop(token))
    }

    /// Publishes the returned chains, and notifies the driver if necessary.
    pub(crate) fn publish(&mut self) {
        if self.ring.publish().is_needed() {
            self.notify();
        }
    }

    fn notify(&self) {
        if let Err(error) = self.vring.signal_used_queue() {
            debug!("cannot notify the driver: {error}");
        }
    }

    /// Asks for a notification of the next chain.
    pub(crate) fn arm(&mut self) -> Arm {
        self.ring.arm()
    }

    /// Stops the queue, and saves its position for the front-end. No chain may be in flight.
    pub(crate) fn stop(mut self) -> (Vring, Position) {
        let (position, notify) = self.ring.suspend();
        if notify.is_needed() {
            self.notify();
        }
        self.vring.set_queue_next_avail(position.available);
        (self.vring, position)
    }
}
