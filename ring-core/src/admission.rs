//! Which buffers a driver end accepts, and the reasons for refusing the others.
//!
//! A segment of no bytes is refused, because devices do not agree on its meaning: QEMU's devices
//! stop the queue.

use crate::chain_bounds::{MAX_CHAIN_BYTES, saturate};
use crate::error::AddErrorKind;
use crate::index::QueueSize;
use crate::memory::{AccessError, Memory};
use crate::ring::State;
use crate::segment::Segment;

/// Returns the segment count of a buffer that fits into `free` descriptors of a running queue, else
/// `None`.
#[inline]
pub(crate) fn fitting(readable: &[Segment], writable: &[Segment], state: State, free: u16) -> Option<u16> {
    let count = readable.len() + writable.len();
    let fits = state.is_running() && count.wrapping_sub(1) < usize::from(free);
    fits.then(|| u16::try_from(count).ok()).flatten()
}

/// Fails with the first segment that may not be lent to the device.
#[inline]
pub(crate) fn check_lent<M: Memory>(
    memory: &M,
    readable: &[Segment],
    writable: &[Segment],
) -> Result<(), AddErrorKind> {
    let mut segments = readable.iter().chain(writable);
    segments.try_for_each(|segment| memory.lend(*segment)).map_err(AddErrorKind::SegmentUnmapped)
}

/// Returns the reason a buffer was refused. Call only after the buffer has been refused.
#[cold]
pub(crate) fn refusal(
    readable: &[Segment],
    writable: &[Segment],
    state: State,
    size: QueueSize,
    free: u16,
) -> AddErrorKind {
    if !state.is_running() {
        return AddErrorKind::NotRunning;
    }
    let bytes = Segment::total(readable) + Segment::total(writable);
    misfit(readable.len() + writable.len(), bytes, size.get(), free)
}

/// Returns the reason a running queue has refused a buffer of `segments` segments.
fn misfit(segments: usize, bytes: u64, size: u16, free: u16) -> AddErrorKind {
    match u16::try_from(segments) {
        Ok(0) => AddErrorKind::Empty,
        Ok(_) if bytes > MAX_CHAIN_BYTES => AddErrorKind::TooManyBytes { bytes },
        // All other reasons are excluded.
        Ok(needed) if needed <= free => AddErrorKind::EmptySegment,
        Ok(needed) if needed <= size => AddErrorKind::Full { free, needed },
        _ => AddErrorKind::TooLong { segments, size },
    }
}

/// Checks the segments of a buffer one by one, as they come from an iterator.
pub(crate) struct Tally {
    /// The number of descriptors that the buffer may take up.
    room: u16,
    segments: usize,
    bytes: u64,
    writable: u64,
    has_empty: bool,
    unlent: Option<AccessError>,
}

impl Tally {
    /// Returns the tally of a buffer without segments, in a queue with `free` descriptors.
    pub(crate) fn new(state: State, free: u16) -> Self {
        let room = if state.is_running() { free } else { 0 };
        Self { room, segments: 0, bytes: 0, writable: 0, has_empty: false, unlent: None }
    }

    /// Counts a segment. Returns whether there is a descriptor for the segment.
    pub(crate) fn admits<M: Memory>(&mut self, memory: &M, segment: Segment, is_writable: bool) -> bool {
        if self.unlent.is_none() {
            self.unlent = memory.lend(segment).err();
        }
        self.segments = self.segments.saturating_add(1);
        self.bytes = self.bytes.saturating_add(segment.len.into());
        if is_writable {
            self.writable = self.writable.saturating_add(segment.len.into());
        }
        self.has_empty |= segment.len == 0;
        self.unlent.is_none() && self.segments <= usize::from(self.room)
    }

    /// Returns the number of writable bytes, saturated, if the buffer is accepted.
    pub(crate) fn accept(self, state: State, size: QueueSize, free: u16) -> Result<u32, AddErrorKind> {
        if let Some(unlent) = self.unlent {
            return Err(AddErrorKind::SegmentUnmapped(unlent));
        }
        if !state.is_running() {
            return Err(AddErrorKind::NotRunning);
        }
        let fits = self.segments.wrapping_sub(1) < usize::from(free);
        if !fits || self.has_empty || self.bytes > MAX_CHAIN_BYTES {
            return Err(misfit(self.segments, self.bytes, size.get(), free));
        }
        Ok(saturate(self.writable))
    }
}

/// Returns the segments of a buffer in order, and whether each is writable.
pub(crate) fn in_order(
    readable: impl IntoIterator<Item = Segment>,
    writable: impl IntoIterator<Item = Segment>,
) -> impl Iterator<Item = (Segment, bool)> {
    let readable = readable.into_iter().map(|segment| (segment, false));
    readable.chain(writable.into_iter().map(|segment| (segment, true)))
}
