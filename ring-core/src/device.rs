//! The device end of a queue of either format.
//!
//! A device takes buffers, works on them, and returns them, in any order and as late as it likes:
//!
//! ```
//! use ring_core::{Arm, DeviceQueue, PopError, Segment, Violation};
//! # use ring_core::memory::Memory;
//! # use ring_core::device::Slot;
//!
//! fn serve<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>>(
//!     queue: &mut DeviceQueue<M, S>,
//!     mut notify: impl FnMut(),
//! ) -> Result<(), Violation> {
//!     let mut segments = [Segment::default(); 64];
//!     loop {
//!         // Take what there is.
//!         loop {
//!             let (token, written) = match queue.pop(&mut segments) {
//!                 Ok(Some(chain)) => {
//!                     let written = 0; // … work on chain.readable() and chain.writable() …
//!                     (chain.into_token(), written)
//!                 }
//!                 Ok(None) => break,
//!                 // More pieces than this device takes: back it goes.
//!                 Err(PopError::TooLong(token)) => (token, 0),
//!                 // The driver has broken the queue: it is idle until it is reset.
//!                 Err(PopError::Violation(violation)) => return Err(violation),
//!             };
//!             let done = queue.complete(token, written);
//!             debug_assert!(done.is_ok());
//!         }
//!         // Return the batch, in one go.
//!         if queue.publish().is_needed() {
//!             notify();
//!         }
//!         // Sleep only if nothing has arrived meanwhile.
//!         if queue.arm() == Arm::Armed {
//!             return Ok(());
//!         }
//!     }
//! }
//! ```
//!
//! Between [`arm`](DeviceQueue::arm) and the next `pop` that finds a buffer the driver is asked to notify; from
//! then on it is not. (In a split queue with `EVENT_IDX` that takes no store: the driver announces the entry
//! that was named, and that has gone by.) A device that polls, and so never arms, writes a word for it at most
//! once.

use crate::chain::{Chain, Segment, Token};
use crate::error::{CompleteError, PopError, SetupError};
use crate::features::Features;
use crate::memory::Memory;
use crate::notify::{Arm, Notify};
use crate::position::Position;
use crate::setup::Setup;
use crate::{packed, split};

pub use crate::slots::device::Slot;

/// The device end of a queue, in the format that was negotiated.
///
/// The format is decided once, by [`Features::RING_PACKED`]; each call branches on it.
#[derive(Debug)]
pub enum DeviceQueue<M: Memory, S> {
    /// A split queue.
    Split(split::DeviceQueue<M, S>),
    /// A packed queue.
    Packed(packed::DeviceQueue<M, S>),
}

/// Does the same with the queue of either format.
macro_rules! either {
    ($device:expr, $queue:ident => $call:expr) => {
        match $device {
            DeviceQueue::Split($queue) => $call,
            DeviceQueue::Packed($queue) => $call,
        }
    };
}
pub(crate) use either;

impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> DeviceQueue<M, S> {
    /// Sets up the device end of a queue that has not run yet. To set one up again, use [`reset`](Self::reset),
    /// which alone makes the tokens of its earlier life stale.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what is wrong with `setup`, or that there are fewer `slots` than descriptors.
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        if setup.features.contains(Features::RING_PACKED) {
            packed::DeviceQueue::new(memory, setup, slots).map(Self::Packed)
        } else {
            split::DeviceQueue::new(memory, setup, slots).map(Self::Split)
        }
    }

    /// Sets the queue up anew, in the same format. What was in flight is forgotten, and all tokens become
    /// stale.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and [`SetupError::Format`] if `setup` asks for the other format; the queue
    /// is then as it was.
    pub fn reset(&mut self, memory: M, setup: &Setup) -> Result<(), SetupError> {
        match (self, setup.features.contains(Features::RING_PACKED)) {
            (Self::Split(queue), false) => queue.reset(memory, setup),
            (Self::Packed(queue), true) => queue.reset(memory, setup),
            _ => Err(SetupError::Format),
        }
    }

    /// The memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        either!(self, queue => queue.memory())
    }

    /// Takes the next available buffer, if there is one. Its segments go to `segments`.
    ///
    /// # Errors
    ///
    /// [`PopError::Violation`] once, when the driver breaks a rule; the queue is idle from then on.
    /// [`PopError::TooLong`] if the chain has more segments than there is room for. The driver waits for it all the
    /// same: complete the token that is in the error.
    #[doc(alias("virtqueue_pop", "pop_descriptor_chain"))]
    #[inline]
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        either!(self, queue => queue.pop(segments))
    }

    /// Stages a used buffer, with the number of bytes written to it. [`publish`](Self::publish) makes it
    /// visible. After a violation this accepts tokens and does nothing.
    ///
    /// Buffers may be completed in any order. Where [`IN_ORDER`](Features::IN_ORDER) is negotiated, one that is
    /// early is kept until its turn comes.
    ///
    /// # Errors
    ///
    /// [`CompleteError`] if the token is stale, the count too large, or the queue suspended.
    #[doc(alias("virtqueue_push", "virtqueue_fill", "add_used"))]
    #[inline]
    pub fn complete(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        either!(self, queue => queue.complete(token, written))
    }

    /// Makes all staged buffers visible, and says whether to notify the driver.
    #[doc(alias("virtqueue_flush", "virtio_notify", "needs_notification"))]
    #[inline]
    pub fn publish(&mut self) -> Notify {
        either!(self, queue => queue.publish())
    }

    /// Makes all staged buffers visible to a driver that polls. The next [`publish`](Self::publish)
    /// decides about notifying it of these buffers, too.
    #[inline]
    pub fn publish_silently(&mut self) {
        either!(self, queue => queue.publish_silently());
    }

    /// Gives back the chain that was taken last, as if it had not been: the next [`pop`](Self::pop) takes it
    /// again. So a device that stops can leave what it has not begun to whoever goes on.
    ///
    /// # Errors
    ///
    /// [`CompleteError::NotNewest`] if a later one is in flight or has been returned;
    /// [`CompleteError::Stale`] if the token is from before a reset; [`CompleteError::Suspended`] if the queue
    /// is, whose position would move.
    #[doc(alias("virtqueue_unpop", "virtqueue_detach_element"))]
    pub fn unpop(&mut self, token: Token) -> Result<(), CompleteError> {
        either!(self, queue => queue.unpop(token))
    }

    /// Asks the driver to notify when it makes the next buffer available.
    #[doc(alias("virtio_queue_set_notification", "enable_notification"))]
    #[inline]
    pub fn arm(&mut self) -> Arm {
        either!(self, queue => queue.arm())
    }

    /// Publishes what is staged, and stops. Tokens stay good: after [`resume`](Self::resume) their chains
    /// can be completed.
    pub fn suspend(&mut self) -> (Position, Notify) {
        either!(self, queue => queue.suspend())
    }

    /// Goes on at `position`. The first [`publish`](Self::publish) then notifies, because nobody knows
    /// what was announced before. Then call [`arm`](Self::arm) before sleeping, as always.
    ///
    /// # Errors
    ///
    /// [`SetupError::Position`] if `position` does not exist in the queue, or if more is in flight there than the
    /// queue has descriptors; [`SetupError::InFlight`] if this device holds chains and `position` is not where
    /// it stands; [`SetupError::Staged`] if completed buffers have not been published;
    /// [`SetupError::Broken`] after a violation. The queue is then as it was.
    pub fn resume(&mut self, position: Position) -> Result<(), SetupError> {
        either!(self, queue => queue.resume(position))
    }

    /// Where the queue stands: the next buffer to take, and what has been published.
    pub const fn position(&self) -> Position {
        either!(self, queue => queue.position())
    }

    /// [`position`](Self::position) as a vhost-user vring base.
    #[doc(alias = "VHOST_USER_GET_VRING_BASE")]
    pub const fn vring_base(&self) -> u32 {
        match self {
            Self::Split(queue) => queue.position().split_base(),
            Self::Packed(queue) => queue.position().packed_base(),
        }
    }

    /// The position that a vhost-user vring base stands for, be it this device's own or another's that left the queue
    /// with nothing in flight.
    ///
    /// Of a split queue's base the lower 16 bits count, and it lacks the used index; that is in the device area,
    /// where the device that ran before left it. Of a packed queue's base many front-ends know the lower 16 bits only;
    /// so where the upper ones are 0, the used half is what the available one is.
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
