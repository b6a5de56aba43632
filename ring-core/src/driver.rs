//! The driver end of a queue of either format.
//!
//! A driver makes buffers available and takes them back when the device has used them:
//!
//! ```
//! use ring_core::{Arm, DriverQueue, Segment};
//! # use ring_core::memory::Memory;
//! # use ring_core::driver::Slot;
//!
//! fn request<M: Memory, S: AsRef<[Slot<u32>]> + AsMut<[Slot<u32>]>>(
//!     queue: &mut DriverQueue<M, S, u32>,
//!     mut notify: impl FnMut(),
//!     mut sleep: impl FnMut(),
//! ) -> Option<u32> {
//!     // A buffer: what the device reads, then what it writes. The cookie says whose it is.
//!     queue.add(&[Segment::new(0x1000, 16)], &[Segment::new(0x2000, 512)], 7).ok()?;
//!     if queue.publish().is_needed() {
//!         notify();
//!     }
//!     loop {
//!         if let Some(used) = queue.reap().ok()? {
//!             assert_eq!(used.cookie, 7);
//!             return Some(used.written);
//!         }
//!         // Sleep only if nothing has come back meanwhile.
//!         if queue.arm() == Arm::Armed {
//!             sleep();
//!         }
//!     }
//! }
//! ```
//!
//! Between [`arm`](DriverQueue::arm) and the next `reap` that finds a buffer the device is asked to notify; from
//! then on it is not. (In a split queue with `EVENT_IDX` that takes no store: the device announces the entry
//! that was named, and that has gone by.) A driver that polls, and so never arms, writes a word for it at most
//! once.

use crate::chain::Segment;
use crate::error::{AddError, SetupError, Violation};
use crate::features::Features;
use crate::memory::Memory;
use crate::notify::{Arm, Notify};
use crate::position::Position;
use crate::setup::Setup;
use crate::{packed, split};

pub use crate::slots::driver::{Slot, Used};

/// The driver end of a queue, in the format that was negotiated.
///
/// The format is decided once, by [`Features::RING_PACKED`]; each call branches on it.
///
/// The device may access the buffers in flight until it is stopped, also after a [`Violation`]. So stop it before you
/// drop the queue, and their cookies with it; or let [`reset`](Self::reset) return the cookies.
#[derive(Debug)]
pub enum DriverQueue<M: Memory, S, T> {
    /// A split queue.
    Split(split::DriverQueue<M, S, T>),
    /// A packed queue.
    Packed(packed::DriverQueue<M, S, T>),
}

/// Does the same with the queue of either format.
macro_rules! either {
    ($driver:expr, $queue:ident => $call:expr) => {
        match $driver {
            DriverQueue::Split($queue) => $call,
            DriverQueue::Packed($queue) => $call,
        }
    };
}

impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> DriverQueue<M, S, T> {
    /// Sets up the driver end of a queue. Its areas are cleared, so the device must not run the queue yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what is wrong with `setup`, or that there are fewer `slots` than descriptors.
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        if setup.features.contains(Features::RING_PACKED) {
            packed::DriverQueue::new(memory, setup, slots).map(Self::Packed)
        } else {
            split::DriverQueue::new(memory, setup, slots).map(Self::Split)
        }
    }

    /// Sets the queue up anew, as [`new`](Self::new) does, in the same format, once the device no longer runs it.
    /// The cookies of all buffers in flight go to `returned`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new), and [`SetupError::Format`] if `setup` asks for the other format; the queue
    /// is then as it was.
    #[doc(alias("virtqueue_reset", "virtqueue_detach_unused_buf"))]
    pub fn reset(&mut self, memory: M, setup: &Setup, returned: impl FnMut(T)) -> Result<(), SetupError> {
        match (self, setup.features.contains(Features::RING_PACKED)) {
            (Self::Split(queue), false) => queue.reset(memory, setup, returned),
            (Self::Packed(queue), true) => queue.reset(memory, setup, returned),
            _ => Err(SetupError::Format),
        }
    }

    /// The memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        either!(self, queue => queue.memory())
    }

    /// Free descriptors.
    #[doc(alias = "num_free")]
    pub const fn free(&self) -> u16 {
        either!(self, queue => queue.free())
    }

    /// Buffers that were added and not yet reaped.
    pub const fn in_flight(&self) -> u16 {
        either!(self, queue => queue.in_flight())
    }

    /// Stages a buffer of readable, then writable segments. [`publish`](Self::publish) makes it available.
    ///
    /// The device may access the segments from then on until [`reap`](Self::reap) or a reset returns the
    /// `cookie`; so the cookie is the natural owner of their memory.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer cannot be added, and returns the cookie. Nothing has changed then.
    #[doc(alias("virtqueue_add", "virtqueue_add_sgs"))]
    #[inline]
    pub fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<(), AddError<T>> {
        either!(self, queue => queue.add(readable, writable, cookie))
    }

    /// Stages a buffer through a table of descriptors, so that it takes up a single one in the queue.
    ///
    /// `table` is room for the table in the memory that the queue was set up with: 16 bytes for each segment, of any
    /// alignment. Like the segments, it is the device's until the cookie comes back.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer cannot be added, and returns the cookie. The queue has not changed
    /// then.
    pub fn add_indirect(
        &mut self,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<(), AddError<T>> {
        either!(self, queue => queue.add_indirect(table, readable, writable, cookie))
    }

    /// What to tell the device with a notification, where [`NOTIFICATION_DATA`] was negotiated.
    ///
    /// `queue` is the queue's index; or, with [`NOTIF_CONFIG_DATA`], the number that the device gave for it.
    /// (VIRTIO 1.4, 2.9 "Driver Notifications")
    ///
    /// [`NOTIFICATION_DATA`]: Features::NOTIFICATION_DATA
    /// [`NOTIF_CONFIG_DATA`]: Features::NOTIF_CONFIG_DATA
    pub const fn notification_data(&self, queue: u16) -> u32 {
        either!(self, queue_end => queue_end.notification_data(queue))
    }

    /// Makes all staged buffers available, and says whether to notify the device.
    #[doc(alias("virtqueue_kick", "virtqueue_kick_prepare"))]
    #[inline]
    pub fn publish(&mut self) -> Notify {
        either!(self, queue => queue.publish())
    }

    /// Makes all staged buffers available to a device that polls. The next [`publish`](Self::publish)
    /// decides about notifying it of these buffers, too.
    #[inline]
    pub fn publish_silently(&mut self) {
        either!(self, queue => queue.publish_silently());
    }

    /// Takes back the next used buffer, if there is one.
    ///
    /// # Errors
    ///
    /// A [`Violation`] once, when the device breaks a rule; the queue is idle from then on.
    #[doc(alias("virtqueue_get_buf", "pop_used"))]
    #[inline]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        either!(self, queue => queue.reap())
    }

    /// Asks the device to notify when it returns the next buffer.
    #[doc(alias("virtqueue_enable_cb", "virtqueue_poll"))]
    #[inline]
    pub fn arm(&mut self) -> Arm {
        either!(self, queue => queue.arm())
    }

    /// Publishes what is staged, and stops. Buffers in flight stay in flight.
    pub fn suspend(&mut self) -> (Position, Notify) {
        either!(self, queue => queue.suspend())
    }

    /// Goes on where [`suspend`](Self::suspend) stopped. The first [`publish`](Self::publish) then
    /// notifies, because nobody knows what was announced before. A queue that is not suspended is left alone.
    pub fn resume(&mut self) {
        either!(self, queue => queue.resume());
    }

    /// Where the queue stands: what has been published, and the next buffer to take back.
    pub const fn position(&self) -> Position {
        either!(self, queue => queue.position())
    }
}
