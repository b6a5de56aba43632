//! Bursts: calls for many buffers, with the bounds of the rings compared once.
//!
//! [`DriverQueue::burst`] and [`DeviceQueue::burst`] return a guard with the calls that are made
//! for each buffer, with the same tokens and errors as those of the queue. In
//! [`RawMemory`](crate::memory::RawMemory), the guard compares the bounds of the rings only at its
//! start. Where this saves instructions, the guard holds positions and counters of the queue by
//! value, so that they stay in registers. [`publish`](DriverBurst::publish) ends the burst, with
//! one store and one decision whether to notify.
//!
//! ```
//! use ring_core::memory::{AlignedWord, RawMemory};
//! use ring_core::{DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};
//!
//! let mut page = [AlignedWord::ZERO; 512];
//! let memory = RawMemory::from_mut(&mut page, 0);
//! let (setup, _) = Setup::contiguous(0, 16, Features::RING_PACKED)?;
//! let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 16])?;
//! let mut device = DeviceQueue::new(memory, &setup, [device::Slot::EMPTY; 16])?;
//!
//! let mut burst = driver.burst();
//! for request in 0..4 {
//!     let (header, answer) = (0x800 + 8 * request, 0xc00 + 8 * request);
//!     burst.add(&[Segment::new(header, 8)], &[Segment::new(answer, 8)], request)?;
//! }
//! assert!(burst.publish().is_needed());
//!
//! // A device that answers at once takes a chain and completes it in one step.
//! let mut burst = device.burst();
//! let served = burst.serve(&mut [Segment::default(); 4], 64, |readable, writable| {
//!     assert_eq!((readable.len(), writable.len()), (1, 1));
//!     8 // bytes written
//! })?;
//! assert_eq!(served, 4);
//! assert!(burst.publish().is_needed());
//!
//! let mut burst = driver.burst();
//! while let Some(used) = burst.reap()? {
//!     assert_eq!(used.written, 8);
//! }
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//!
//! # When to use a burst
//!
//! - A device that answers a request before it takes the next one uses
//!   [`serve`](DeviceBurst::serve). With `serve`, and a burst at the driver end, a request takes
//!   about a fifth to two fifths fewer instructions than with the plain calls.
//! - At the driver end, `add` and `reap` together take about a fifth fewer instructions.
//!   `add_indirect` makes the plain call: for a table of three descriptors it takes 48 (split) and
//!   95 (packed) instructions more than outside a burst.
//! - At the device end, `pop` and `complete` together take about a tenth to a fifth fewer
//!   instructions for chains in the ring, and about two fifths fewer for chains in an indirect
//!   table.
//! - Starting and ending a burst takes instructions, too. For one buffer at a time, use the plain
//!   calls.
//! - A device that keeps a journal for [`recovery`](crate::recovery) records each chain in the
//!   burst that takes the chain, by [`record`](DeviceBurst::record). It drops the burst before it
//!   notes [`next_used`](DeviceQueue::next_used) and publishes. It does not use `serve`, because a
//!   served chain has no token and no record.
//!
//! These figures are for [`RawMemory`](crate::memory::RawMemory) and bursts of 64 requests. The
//! repository has them in `benches/counts.txt`. In a memory whose areas use
//! [`AreaRings`](crate::memory::AreaRings) and [`AreaWalk`](crate::memory::AreaWalk), which fit
//! every memory, each access of a burst compares its bounds, and a burst saves less.
//!
//! # What a burst does not change
//!
//! A burst does what the plain calls do, with every check. In all cases but the common one (for
//! example in an in-order queue, or after an error), a burst makes the plain call.
//!
//! A burst that is dropped, by `?` or by a panic, loses nothing: what it has staged is staged in
//! the queue, as after plain calls. If a burst is forgotten with `mem::forget`, the queue publishes
//! nothing any more, as after a violation, because its records do not match the rings: reset it.
//! Only a split device queue continues as if the burst had been dropped.
//!
//! # What a burst finds
//!
//! In a split queue, a burst loads the other side's index at most once. `reap` and `pop` return
//! what was there at that time, then `None`: the next burst, or `arm`, finds what came later. So a
//! loop over `reap` or `pop` ends, however fast the other side is, and the two sides do not compete
//! for the cache line of the index. In a packed queue, and after
//! [`arm_always`](DeviceQueue::arm_always), each call looks for the next buffer.

use crate::chain::{Chain, ChainRecord, Token};
use crate::device::{self, DeviceQueue};
use crate::driver::{self, DriverQueue, Used};
use crate::error::{AddError, CompleteError, PopError, Violation};
use crate::memory::Memory;
use crate::notify::Notify;
use crate::segment::Segment;
use crate::{packed, split};

/// A burst at the driver end of a queue of either format. The [module](self) describes bursts.
///
/// Exhaustive, because VIRTIO has two formats of a queue.
#[must_use = "a burst that is dropped makes nothing available: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub enum DriverBurst<'q, M: Memory, S: driver::Slots<T>, T> {
    /// A burst on a split queue.
    Split(split::DriverBurst<'q, M, S, T>),
    /// A burst on a packed queue.
    Packed(packed::DriverBurst<'q, M, S, T>),
}

/// A burst at the device end of a queue of either format. The [module](self) describes bursts.
///
/// Exhaustive, because VIRTIO has two formats of a queue.
#[must_use = "a burst that is dropped returns nothing: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub enum DeviceBurst<'q, M: Memory, S: device::Slots> {
    /// A burst on a split queue.
    Split(split::DeviceBurst<'q, M, S>),
    /// A burst on a packed queue.
    Packed(packed::DeviceBurst<'q, M, S>),
}

/// Makes the same call on a burst of either format.
macro_rules! either {
    ($type:ident, $value:expr, $burst:ident => $call:expr) => {
        match $value {
            $type::Split($burst) => $call,
            $type::Packed($burst) => $call,
        }
    };
}

impl<M: Memory, S: driver::Slots<T>, T> DriverQueue<M, S, T> {
    /// Starts a burst.
    #[inline]
    pub fn burst(&mut self) -> DriverBurst<'_, M, S, T> {
        match self {
            Self::Split(queue) => DriverBurst::Split(queue.burst()),
            Self::Packed(queue) => DriverBurst::Packed(queue.burst()),
        }
    }
}

impl<M: Memory, S: driver::Slots<T>, T> DriverBurst<'_, M, S, T> {
    /// Stages a buffer, as [`DriverQueue::add`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`DriverQueue::add`].
    #[inline(always)]
    pub fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<u16, AddError<T>> {
        either!(Self, self, burst => burst.add(readable, writable, cookie))
    }

    /// Stages a buffer through an indirect table, as [`DriverQueue::add_indirect`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`DriverQueue::add_indirect`].
    #[inline(always)]
    pub fn add_indirect(
        &mut self,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        either!(Self, self, burst => burst.add_indirect(table, readable, writable, cookie))
    }

    /// Takes back the next used buffer that this burst has found, as [`DriverQueue::reap`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`DriverQueue::reap`].
    #[inline(always)]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        either!(Self, self, burst => burst.reap())
    }

    /// Makes all staged buffers available, and ends the burst. Returns whether to notify the
    /// device.
    #[inline(always)]
    pub fn publish(self) -> Notify {
        either!(Self, self, burst => burst.publish())
    }

    /// Makes all staged buffers available to a device that polls, and ends the burst. See
    /// [`DriverQueue::publish_silently`].
    #[inline(always)]
    pub fn publish_silently(self) {
        either!(Self, self, burst => burst.publish_silently());
    }
}

impl<M: Memory, S: device::Slots> DeviceQueue<M, S> {
    /// Starts a burst.
    #[inline]
    pub fn burst(&mut self) -> DeviceBurst<'_, M, S> {
        match self {
            Self::Split(queue) => DeviceBurst::Split(queue.burst()),
            Self::Packed(queue) => DeviceBurst::Packed(queue.burst()),
        }
    }
}

impl<M: Memory, S: device::Slots> DeviceBurst<'_, M, S> {
    /// Takes the next available chain that this burst has found, as [`DeviceQueue::pop`] does.
    ///
    /// # Errors
    ///
    /// The errors of [`DeviceQueue::pop`].
    #[inline(always)]
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        either!(Self, self, burst => burst.pop(segments))
    }

    /// Stages a used chain, as [`DeviceQueue::complete`] does. The token may be of an earlier
    /// burst.
    ///
    /// # Errors
    ///
    /// The errors of [`DeviceQueue::complete`].
    #[inline(always)]
    pub fn complete(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        either!(Self, self, burst => burst.complete(token, written))
    }

    /// Returns the record of a chain in flight, as [`DeviceQueue::record`] does.
    #[inline(always)]
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        either!(Self, self, burst => burst.record(token))
    }

    /// Takes up to `limit` chains that this burst has found, and stages each as used at once.
    /// Returns the number of chains.
    ///
    /// `work` gets the readable and the writable segments of a chain, and returns the number of
    /// bytes that it has written. If that number is larger than the number of writable bytes, all
    /// writable bytes count as written. `segments` is storage for the segments of chains with
    /// several segments. If `work` panics, its chain is either available again, or in flight until
    /// a reset, as after a token is dropped.
    ///
    /// In an in-order queue, a chain waits for older chains whose tokens are not completed yet.
    ///
    /// For a device that answers a request before it takes the next one, such as an entropy device,
    /// this takes less time than `pop` and `complete`: there is no token.
    ///
    /// # Errors
    ///
    /// The errors of [`DeviceQueue::pop`]. The chains before the error are staged. The chain of a
    /// [`PopError::TooLong`] is not: complete its token.
    #[inline(always)]
    pub fn serve(
        &mut self,
        segments: &mut [Segment],
        limit: usize,
        work: impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Result<usize, PopError> {
        either!(Self, self, burst => burst.serve(segments, limit, work))
    }

    /// Makes all staged chains visible, and ends the burst. Returns whether to notify the driver.
    #[inline(always)]
    pub fn publish(self) -> Notify {
        either!(Self, self, burst => burst.publish())
    }

    /// Makes all staged chains visible to a driver that polls, and ends the burst. See
    /// [`DeviceQueue::publish_silently`].
    #[inline(always)]
    pub fn publish_silently(self) {
        either!(Self, self, burst => burst.publish_silently());
    }
}
