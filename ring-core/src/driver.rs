//! The driver end of a queue of either format.
//!
//! A driver makes buffers available and takes them back after the device has used them:
//!
//! ```
//! use ring_core::{Arm, DriverQueue, Segment};
//! # use ring_core::memory::Memory;
//! # use ring_core::driver::Slots;
//!
//! fn request<M: Memory, S: Slots<u32>>(
//!     queue: &mut DriverQueue<M, S, u32>,
//!     mut notify: impl FnMut(),
//!     mut sleep: impl FnMut(),
//! ) -> Option<u32> {
//!     // The device reads the first segment and writes the second. The cookie is 7.
//!     queue.add(&[Segment::new(0x1000, 16)], &[Segment::new(0x2000, 512)], 7).ok()?;
//!     if queue.publish().is_needed() {
//!         notify();
//!     }
//!     loop {
//!         if let Some(used) = queue.reap().ok()? {
//!             assert_eq!(used.cookie, 7);
//!             return Some(used.written);
//!         }
//!         // Sleep only if the device has not returned a buffer in the meantime.
//!         if queue.arm() == Arm::Armed {
//!             sleep();
//!         }
//!     }
//! }
//! ```
//!
//! From [`arm`](DriverQueue::arm) until the next `reap` that finds a buffer, the device is asked to
//! notify. That `reap` withdraws the request. (In a split queue with `EVENT_IDX`, no store is
//! needed: the request names one entry, which the device has passed.) A driver that polls never
//! calls `arm`. Such a driver withdraws the initial request in its first successful `reap`, with at
//! most one store.

use crate::error::{AddError, SetupError, Violation};
use crate::features::Features;
use crate::memory::Memory;
use crate::notify::{Arm, Notify};
use crate::position::Position;
use crate::segment::Segment;
use crate::setup::Setup;
use crate::{packed, split};

pub use crate::slots::driver::{Slot, Slots, Used};

/// The driver end of a queue, in the format that was negotiated.
///
/// [`Features::RING_PACKED`] decides the format once, when the queue is set up. Each call branches
/// on the format.
///
/// The device may access the buffers in flight until it is stopped, even after a [`Violation`]. So
/// a queue that is dropped with buffers in flight leaks their cookies rather than dropping them. To
/// get the cookies back, stop the device and call [`reset`](Self::reset).
///
/// Exhaustive, because VIRTIO has two formats of a queue.
#[derive(Debug)]
pub enum DriverQueue<M: Memory, S, T> {
    /// A split queue.
    Split(split::DriverQueue<M, S, T>),
    /// A packed queue.
    Packed(packed::DriverQueue<M, S, T>),
}

/// Makes the same call on a queue of either format.
macro_rules! either {
    ($driver:expr, $queue:ident => $call:expr) => {
        match $driver {
            DriverQueue::Split($queue) => $call,
            DriverQueue::Packed($queue) => $call,
        }
    };
}
pub(crate) use either;

impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Sets up the driver end of a queue and clears the queue's areas. The device must not run the
    /// queue yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what is wrong with `setup`, or that there are fewer `slots` than
    /// descriptors.
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        if setup.features.contains(Features::RING_PACKED) {
            packed::DriverQueue::new(memory, setup, slots).map(Self::Packed)
        } else {
            split::DriverQueue::new(memory, setup, slots).map(Self::Split)
        }
    }

    /// Sets the queue up again in the same format, as [`new`](Self::new) does. The device must have
    /// stopped running the queue. The cookies of all buffers in flight are passed to `returned`.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new), and [`SetupError::Format`] if `setup` asks for the other
    /// format. After an error the queue is unchanged.
    #[doc(alias("virtqueue_reset", "virtqueue_detach_unused_buf"))]
    pub fn reset(&mut self, memory: M, setup: &Setup, returned: impl FnMut(T)) -> Result<(), SetupError> {
        match (self, setup.features.contains(Features::RING_PACKED)) {
            (Self::Split(queue), false) => queue.reset(memory, setup, returned),
            (Self::Packed(queue), true) => queue.reset(memory, setup, returned),
            _ => Err(SetupError::Format),
        }
    }

    /// Returns the memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        either!(self, queue => queue.memory())
    }

    /// Returns the number of free descriptors.
    #[doc(alias = "num_free")]
    pub const fn free(&self) -> u16 {
        either!(self, queue => queue.free())
    }

    /// Returns the number of buffers that were added and not yet reaped.
    pub const fn in_flight(&self) -> u16 {
        either!(self, queue => queue.in_flight())
    }

    /// Stages a buffer that consists of the `readable` segments, followed by the `writable`
    /// segments. Returns the buffer's id.
    ///
    /// The id is less than the queue's size, and no other buffer in flight has this id. A driver
    /// can use the id as an index into a table of its own; [`Used::id`] repeats the id.
    ///
    /// [`publish`](Self::publish) makes the buffer available. From then on the device may access
    /// the segments, until [`reap`](Self::reap) or a reset returns `cookie`. The cookie is
    /// therefore the natural owner of the segments' memory. `add` refuses segments that
    /// [`Memory::lend`] refuses; [`memory`](crate::memory) says which promise covers all other
    /// segments.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer was refused, and returns the cookie. After an error the
    /// queue is unchanged.
    #[doc(alias("virtqueue_add", "virtqueue_add_sgs"))]
    #[inline]
    pub fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<u16, AddError<T>> {
        #[cfg(ring_core_bursts)]
        return self.burst().add(readable, writable, cookie);
        #[cfg(not(ring_core_bursts))]
        either!(self, queue => queue.add(readable, writable, cookie))
    }

    /// Returns the value to send with a notification, where [`NOTIFICATION_DATA`] was negotiated.
    ///
    /// `queue` is the queue's index, or, with [`NOTIF_CONFIG_DATA`], the number that the device
    /// gave for the queue (VIRTIO 1.4, 2.9 "Driver Notifications").
    ///
    /// [`NOTIFICATION_DATA`]: Features::NOTIFICATION_DATA
    /// [`NOTIF_CONFIG_DATA`]: Features::NOTIF_CONFIG_DATA
    pub const fn notification_data(&self, queue: u16) -> u32 {
        either!(self, queue_end => queue_end.notification_data(queue))
    }

    /// Makes all staged buffers available. Returns whether to notify the device.
    #[doc(alias("virtqueue_kick", "virtqueue_kick_prepare"))]
    #[inline]
    pub fn publish(&mut self) -> Notify {
        either!(self, queue => queue.publish())
    }

    /// Makes all staged buffers available to a device that polls.
    ///
    /// The next [`publish`](Self::publish) decides whether to notify the device of these buffers,
    /// too.
    #[inline]
    pub fn publish_silently(&mut self) {
        either!(self, queue => queue.publish_silently());
    }

    /// Takes back the next used buffer, if there is one.
    ///
    /// # Errors
    ///
    /// A [`Violation`], once, when the device has broken a rule. The queue is idle from then on.
    #[doc(alias("virtqueue_get_buf", "pop_used"))]
    #[inline]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        #[cfg(ring_core_bursts)]
        return self.burst().reap();
        #[cfg(not(ring_core_bursts))]
        either!(self, queue => queue.reap())
    }

    /// Asks the device to notify when it returns the next buffer. Returns whether it is safe to
    /// sleep.
    #[doc(alias = "virtqueue_enable_cb")]
    #[inline]
    pub fn arm(&mut self) -> Arm {
        either!(self, queue => queue.arm())
    }

    /// Asks the device to notify when it has returned `count` more buffers, or all buffers in
    /// flight if fewer are in flight. Returns whether it is safe to sleep.
    ///
    /// This call saves interrupts for a driver that need not know immediately when a buffer
    /// returns. With `count` at three quarters of the buffers in flight, 64 buffers that are
    /// returned one by one cost four interrupts.
    ///
    /// Without [`EVENT_IDX`](Features::EVENT_IDX) this is [`arm`](Self::arm). A packed queue counts
    /// descriptors, so the notification may come earlier if buffers have several descriptors.
    /// [`Arm::Pending`] means that at least one buffer can be reaped. If `reap` finds a buffer
    /// before the notification, the notification may still come.
    #[doc(alias = "virtqueue_enable_cb_delayed")]
    #[inline]
    pub fn arm_after(&mut self, count: u16) -> Arm {
        either!(self, queue => queue.arm_after(count))
    }

    /// Asks the device to notify of every buffer from now on. Returns whether it is safe to sleep.
    ///
    /// The request stays until [`arm`](Self::arm), [`arm_after`](Self::arm_after),
    /// [`disarm`](Self::disarm) or a reset: `reap` does not withdraw the request, and the driver
    /// need not call `arm` again. After a notification, reap until there is no buffer left, because
    /// one notification may stand for several buffers. In a split queue, a `reap` that finds a
    /// buffer costs a fence.
    pub fn arm_always(&mut self) -> Arm {
        either!(self, queue => queue.arm_always())
    }

    /// Withdraws the request to be notified. A notification may still come, for example one that
    /// was decided before.
    #[doc(alias("virtqueue_disable_cb", "set_dev_notify"))]
    pub fn disarm(&mut self) {
        either!(self, queue => queue.disarm());
    }

    /// Returns whether there is a buffer to [`reap`](Self::reap), and reaps nothing. Returns
    /// `false` if the queue does not run.
    #[doc(alias("virtqueue_poll", "can_pop", "more_used"))]
    pub fn pending(&self) -> bool {
        either!(self, queue => queue.pending())
    }

    /// Returns the [id](Self::add) of the buffer that [`reap`](Self::reap) returns next, if there
    /// is one, and reaps nothing.
    ///
    /// Rely on the id that `reap` returns, not on this id: a device that breaks the rules can
    /// change what it has returned until `reap` makes a copy. Also returns `None` if the device has
    /// returned a buffer that is not in flight; `reap` reports this.
    #[doc(alias = "peek_used")]
    pub fn peek(&self) -> Option<u16> {
        either!(self, queue => queue.peek())
    }

    /// Publishes the staged buffers, then stops the queue. Buffers in flight stay in flight.
    pub fn suspend(&mut self) -> (Position, Notify) {
        either!(self, queue => queue.suspend())
    }

    /// Resumes a queue that [`suspend`](Self::suspend) has stopped. Does nothing to a queue that is
    /// not suspended.
    ///
    /// The first [`publish`](Self::publish) after a resume notifies the device in any case, because
    /// earlier notifications may have been lost.
    pub fn resume(&mut self) {
        either!(self, queue => queue.resume());
    }

    /// Moves a queue without buffers to `position`, at which another queue was left. The device
    /// must not run the queue yet.
    ///
    /// A device that resumes at the same position finds the ring as the other queue was left. To a
    /// device at any other position, the driver looks as if it had been reset. A proxy needs
    /// `begin_at` when it makes new rings while a guest is paused.
    ///
    /// # Errors
    ///
    /// [`SetupError::Position`] if the two parts of the position differ, because buffers are then
    /// in flight, or if the position does not exist in a queue of this size;
    /// [`SetupError::InFlight`] if this queue has buffers; [`SetupError::Broken`] if the device has
    /// broken a rule. After an error the queue is unchanged.
    pub fn begin_at(&mut self, position: Position) -> Result<(), SetupError> {
        either!(self, queue => queue.begin_at(position))
    }

    /// Returns the position of the queue: what has been published, and the next buffer to take
    /// back.
    pub const fn position(&self) -> Position {
        either!(self, queue => queue.position())
    }
}
