//! A virtqueue as this device serves it: ring-core's rings on what vhost-user has told about them.
//!
//! `vhost-user-backend` keeps a split-only queue for each ring. It serves here as a notice board alone: where
//! the areas are, whether the ring runs, whom to notify, and from which position to go on.

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

/// The guest's memory at one time.
pub(crate) type GuestMemory = Arc<GuestMemoryMmap>;

/// A queue that runs.
#[derive(Debug)]
pub(crate) struct Queue {
    ring: DeviceQueue<VmMemory<GuestMemory>, Box<[Slot]>>,
    vring: Vring,
}

/// Whether the front-end lets a ring run.
pub(crate) fn is_live(vring: &Vring) -> bool {
    let state = vring.get_ref();
    state.get_queue().ready() && state.is_enabled()
}

impl Queue {
    /// Takes up a queue where whoever ran it before has left it.
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
        // The notice board has room for 16 bits. A packed ring is only ever left with nothing in flight,
        // so they say it all; a split ring has the other half in memory.
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

    pub(crate) fn is_live(&self) -> bool {
        is_live(&self.vring)
    }

    pub(crate) const fn memory(&self) -> &VmMemory<GuestMemory> {
        self.ring.memory()
    }

    /// Takes the next chain that can be worked on. Others are returned to the driver as they are.
    pub(crate) fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Option<Chain<'s>> {
        match self.ring.pop(segments) {
            Ok(chain) => chain,
            Err(PopError::TooLong(token)) => {
                debug!("a buffer in too many pieces");
                self.complete(token, 0);
                None
            }
            Err(PopError::Violation(violation)) => {
                warn!("the guest has broken a queue, which now rests until it is reset: {violation}");
                None
            }
        }
    }

    /// Returns a chain.
    pub(crate) fn complete(&mut self, token: Token, written: u32) {
        if let Err(error) = self.ring.complete(token, written) {
            debug!("not returned: {error}");
        }
    }

    /// Returns messages with their status.
    pub(crate) fn complete_all(&mut self, completions: Vec<Completion>) {
        for completion in completions {
            let (token, written) = completion.write(self.ring.memory());
            self.complete(token, written);
        }
    }

    /// Gives back the message that was taken last, as if it had not been. Fails if a later one was taken.
    pub(crate) fn give_back(&mut self, message: Message) -> Result<(), Message> {
        message.give_back(|token| self.ring.unpop(token))
    }

    /// Shows the driver what was returned.
    pub(crate) fn publish(&mut self) {
        if self.ring.publish().is_needed() {
            self.notify();
        }
    }

    fn notify(&self) {
        if let Err(error) = self.vring.signal_used_queue() {
            debug!("the driver cannot be notified: {error}");
        }
    }

    /// Asks to be notified of the next chain.
    pub(crate) fn arm(&mut self) -> Arm {
        self.ring.arm()
    }

    /// Stops, and leaves word where to go on. Nothing must be in flight.
    pub(crate) fn stop(mut self) -> (Vring, Position) {
        let (position, notify) = self.ring.suspend();
        if notify.is_needed() {
            self.notify();
        }
        self.vring.set_queue_next_avail(position.available);
        (self.vring, position)
    }
}
