//! The device end of a queue of either format.
//!
//! A device takes chains, processes them, and returns them, in any order and at any time:
//!
//! ```
//! use ring_core::{Arm, DeviceQueue, PopError, Segment, Violation};
//! # use ring_core::memory::Memory;
//! # use ring_core::device::Slots;
//!
//! fn serve<M: Memory, S: Slots>(
//!     queue: &mut DeviceQueue<M, S>,
//!     mut notify: impl FnMut(),
//! ) -> Result<Arm, Violation> {
//!     let mut segments = [Segment::default(); 64];
//!     // Take what is available: at most as many chains as the queue has descriptors.
//!     let mut burst = queue.burst();
//!     loop {
//!         let (token, written) = match burst.pop(&mut segments) {
//!             Ok(Some(chain)) => {
//!                 let written = 0; // … process chain.readable() and chain.writable() …
//!                 (chain.into_token(), written)
//!             }
//!             Ok(None) => break,
//!             // The chain has more segments than this device accepts: return it unused.
//!             Err(PopError::TooLong(token)) => (token, 0),
//!             // The driver has broken a rule: the queue is idle until it is reset.
//!             Err(PopError::Violation(violation)) => return Err(violation),
//!         };
//!         let completed = burst.complete(token, written);
//!         debug_assert!(completed.is_ok());
//!     }
//!     // Return the whole batch with one store.
//!     if burst.publish().is_needed() {
//!         notify();
//!     }
//!     // `Armed`: the device may sleep. `Pending`: the driver has made a buffer available in the
//!     // meantime, so call `serve` again, after the device's other queues.
//!     Ok(queue.arm())
//! }
//! ```
//!
//! The queue itself also has the calls of the [burst](crate::burst), except `serve`.
//!
//! From [`arm`](DeviceQueue::arm) until the next `pop` that finds a chain, the driver is asked to
//! notify. That `pop` withdraws the request. (In a split queue with `EVENT_IDX`, no store is
//! needed: the request names one entry, which the driver has passed.) A device that polls never
//! calls `arm`. Such a device withdraws the initial request in its first successful `pop`, with at
//! most one store.

use crate::chain::{Chain, Token};
use crate::error::{CompleteError, PopError, SetupError};
use crate::features::Features;
use crate::memory::Memory;
use crate::notify::{Arm, Notify};
use crate::position::Position;
use crate::segment::Segment;
use crate::setup::Setup;
use crate::{packed, split};

pub use crate::slots::device::{Slot, Slots};

/// The device end of a queue, in the format that was negotiated.
///
/// [`Features::RING_PACKED`] decides the format once, when the queue is set up. Each call branches
/// on the format.
///
/// Exhaustive, because VIRTIO has two formats of a queue.
#[derive(Debug)]
pub enum DeviceQueue<M: Memory, S> {
    /// A split queue.
    Split(split::DeviceQueue<M, S>),
    /// A packed queue.
    Packed(packed::DeviceQueue<M, S>),
}

/// Makes the same call on a queue of either format.
macro_rules! either {
    ($device:expr, $queue:ident => $call:expr) => {
        match $device {
            DeviceQueue::Split($queue) => $call,
            DeviceQueue::Packed($queue) => $call,
        }
    };
}
pub(crate) use either;

impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Sets up the device end of a queue that has not run yet.
    ///
    /// To set the queue up again, use [`reset`](Self::reset): `reset` makes existing tokens stale,
    /// `new` does not.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what is wrong with `setup`, or that there are fewer `slots` than
    /// descriptors.
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        if setup.features.contains(Features::RING_PACKED) {
            packed::DeviceQueue::new(memory, setup, slots).map(Self::Packed)
        } else {
            split::DeviceQueue::new(memory, setup, slots).map(Self::Split)
        }
    }

    /// Sets the queue up again in the same format. All chains in flight are forgotten, and all
    /// tokens become stale.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new), and [`SetupError::Format`] if `setup` asks for the other
    /// format. After an error the queue is unchanged.
    pub fn reset(&mut self, memory: M, setup: &Setup) -> Result<(), SetupError> {
        match (self, setup.features.contains(Features::RING_PACKED)) {
            (Self::Split(queue), false) => queue.reset(memory, setup),
            (Self::Packed(queue), true) => queue.reset(memory, setup),
            _ => Err(SetupError::Format),
        }
    }

    /// Changes the memory under the queue, for example when a host gives its guest more memory. The
    /// areas are resolved again, at the addresses in `setup`. Chains in flight stay in flight,
    /// their tokens stay valid, and staged chains stay staged.
    ///
    /// The new memory contains what the old memory contained: the same bytes at the same addresses.
    /// Segments of chains in flight are resolved in the new memory from now on.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new). [`SetupError::Format`] or [`SetupError::Changed`] if
    /// `setup` has another format, size or features than the queue. After an error the queue is
    /// unchanged.
    pub fn remap(&mut self, memory: M, setup: &Setup) -> Result<(), SetupError> {
        match (self, setup.features.contains(Features::RING_PACKED)) {
            (Self::Split(queue), false) => queue.remap(memory, setup),
            (Self::Packed(queue), true) => queue.remap(memory, setup),
            _ => Err(SetupError::Format),
        }
    }

    /// Returns the memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        either!(self, queue => queue.memory())
    }

    /// Takes the next available chain, if there is one, and copies its segments to `segments`.
    ///
    /// # Errors
    ///
    /// [`PopError::Violation`], once, when the driver has broken a rule. The queue is idle from
    /// then on. [`PopError::TooLong`] if the chain has more segments than fit into `segments`. The
    /// driver waits for such a chain, too: complete the token that is in the error.
    #[doc(alias("virtqueue_pop", "pop_descriptor_chain"))]
    #[inline]
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        #[cfg(ring_core_bursts)]
        return self.burst().pop(segments);
        #[cfg(not(ring_core_bursts))]
        either!(self, queue => queue.pop(segments))
    }

    /// Stages a used chain, with the number of bytes `written` to it. [`publish`](Self::publish)
    /// makes the used chain visible.
    ///
    /// Chains may be completed in any order. Where [`IN_ORDER`](Features::IN_ORDER) is negotiated,
    /// a chain that is completed early is held until all older chains are completed. After a
    /// violation, `complete` accepts tokens and has no effect on the queue, unless
    /// [`drain`](Self::drain) was called.
    ///
    /// # Errors
    ///
    /// [`CompleteError`] if the token is stale, `written` is too large, or the queue is suspended.
    #[doc(alias("virtqueue_push", "virtqueue_fill", "add_used"))]
    #[inline]
    pub fn complete(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        #[cfg(ring_core_bursts)]
        return self.burst().complete(token, written);
        #[cfg(not(ring_core_bursts))]
        either!(self, queue => queue.complete(token, written))
    }

    /// Lets a queue that a [`Violation`](crate::Violation) has stopped return the chains that it
    /// holds. Has no effect on a queue that has not been stopped by a violation.
    ///
    /// By default, a violation makes the queue idle: chains in flight do not return to the driver
    /// before a reset. These chains were taken correctly, so a host may prefer to return them, for
    /// example to let the work in flight of a guest finish. After this call, `complete` and
    /// `publish` work again, and chains that were staged before the violation are published, too;
    /// `pop` still returns no chain. Chains that were completed between the violation and this call
    /// are lost, so call `drain` first.
    ///
    /// A queue that is drained is still broken: it cannot be resumed, and [`arm`](Self::arm)
    /// returns [`Arm::Stopped`].
    pub fn drain(&mut self) {
        either!(self, queue => queue.drain());
    }

    /// Makes all staged chains visible. Returns whether to notify the driver.
    #[doc(alias("virtqueue_flush", "virtio_notify", "needs_notification"))]
    #[inline]
    pub fn publish(&mut self) -> Notify {
        either!(self, queue => queue.publish())
    }

    /// Makes all staged chains visible to a driver that polls.
    ///
    /// The next [`publish`](Self::publish) decides whether to notify the driver of these chains,
    /// too.
    #[inline]
    pub fn publish_silently(&mut self) {
        either!(self, queue => queue.publish_silently());
    }

    /// Puts the chain that was taken last back into the queue; the next [`pop`](Self::pop) takes it
    /// again.
    ///
    /// With `unpop`, a device that stops gives the next device the chains that were not started.
    ///
    /// # Errors
    ///
    /// [`CompleteError::NotNewest`] if a later chain is in flight or has been completed.
    /// [`CompleteError::Stale`] if the token is older than the last reset.
    /// [`CompleteError::Suspended`] if the queue is suspended, because `unpop` would move the
    /// queue's position.
    #[doc(alias("virtqueue_unpop", "virtqueue_detach_element"))]
    pub fn unpop(&mut self, token: Token) -> Result<(), CompleteError> {
        either!(self, queue => queue.unpop(token))
    }

    /// Asks the driver to notify when it makes the next buffer available. Returns whether it is
    /// safe to sleep.
    #[doc(alias("virtio_queue_set_notification", "enable_notification"))]
    #[inline]
    pub fn arm(&mut self) -> Arm {
        either!(self, queue => queue.arm())
    }

    /// Asks the driver to notify when it has made `count` more buffers available, at most the
    /// queue's size. Returns whether it is safe to sleep.
    ///
    /// Use this call only for a driver that is known to make that many buffers available. If the
    /// driver first waits for a buffer to be returned, neither side wakes the other.
    ///
    /// Without [`EVENT_IDX`](Features::EVENT_IDX) this is [`arm`](Self::arm). A packed queue counts
    /// descriptors, so the notification may come earlier if buffers have several descriptors.
    /// [`Arm::Pending`] means that at least one chain can be popped. If `pop` finds a chain before
    /// the notification, the notification may still come.
    #[inline]
    pub fn arm_after(&mut self, count: u16) -> Arm {
        either!(self, queue => queue.arm_after(count))
    }

    /// Asks the driver to notify of every buffer from now on. Returns whether it is safe to sleep.
    ///
    /// The request stays until [`arm`](Self::arm), [`arm_after`](Self::arm_after),
    /// [`disarm`](Self::disarm) or a reset: `pop` does not withdraw the request, and the device
    /// need not call `arm` again. After a notification, pop until there is no chain left, because
    /// one notification may stand for several chains. In a split queue, a `pop` that finds a chain
    /// costs a fence.
    pub fn arm_always(&mut self) -> Arm {
        either!(self, queue => queue.arm_always())
    }

    /// Withdraws the request to be notified. A notification may still come, for example one that
    /// was decided before.
    #[doc(alias = "disable_notification")]
    pub fn disarm(&mut self) {
        either!(self, queue => queue.disarm());
    }

    /// Returns whether there is a chain to [`pop`](Self::pop), and takes nothing. Returns
    /// `false` if the queue does not run.
    #[doc(alias = "virtio_queue_empty")]
    pub fn pending(&self) -> bool {
        either!(self, queue => queue.pending())
    }

    /// Publishes the staged chains, then stops the queue. Tokens stay valid: their chains can be
    /// completed after [`resume`](Self::resume).
    pub fn suspend(&mut self) -> (Position, Notify) {
        either!(self, queue => queue.suspend())
    }

    /// Resumes the queue at `position`.
    ///
    /// The first [`publish`](Self::publish) after a resume notifies the driver in any case, because
    /// earlier notifications may have been lost. Call [`arm`](Self::arm) before sleeping, as
    /// always.
    ///
    /// # Errors
    ///
    /// [`SetupError::Position`] if `position` does not exist in the queue, or implies more
    /// descriptors in flight than the queue has. [`SetupError::InFlight`] if this device holds
    /// chains and `position` is not its current position. [`SetupError::Staged`] if completed
    /// chains have not been published. [`SetupError::Broken`] after a violation. After an error the
    /// queue is unchanged.
    pub fn resume(&mut self, position: Position) -> Result<(), SetupError> {
        either!(self, queue => queue.resume(position))
    }

    /// Returns the position of the queue: the next buffer to take, and what has been published.
    pub const fn position(&self) -> Position {
        either!(self, queue => queue.position())
    }

    /// Returns the [`position`](Self::position) as a vhost-user vring base.
    #[doc(alias = "VHOST_USER_GET_VRING_BASE")]
    pub const fn vring_base(&self) -> u32 {
        match self {
            Self::Split(queue) => queue.position().split_base(),
            Self::Packed(queue) => queue.position().packed_base(),
        }
    }

    /// Returns the position that a vhost-user vring base stands for.
    ///
    /// `base` is this device's own vring base, or that of another device that has left the queue
    /// with nothing in flight.
    ///
    /// The base of a split queue consists of its lower 16 bits and lacks the used index. The
    /// previous device has left the used index in the device area, where `position_of` reads the
    /// index. For a packed queue, many front-ends only handle the lower 16 bits of the base. So if
    /// the upper bits are 0, the used position is taken to equal the available position.
    #[doc(alias = "VHOST_USER_SET_VRING_BASE")]
    #[expect(clippy::cast_possible_truncation, reason = "a split queue's base has 16 bits")]
    pub fn position_of(&self, base: u32) -> Position {
        match self {
            Self::Split(queue) => Position { available: base as u16, used: queue.used_index() },
            Self::Packed(_) => match Position::from_packed_base(base) {
                Position { available, used: 0 } if base != self.vring_base() => {
                    Position::quiescent(available)
                }
                position => position,
            },
        }
    }
}
