//! Which buffers a driver end accepts, and the reasons for refusing the others.
//!
//! A segment of no bytes is refused, because devices do not agree on its meaning: QEMU's devices
//! stop the queue.

use crate::chain::MAX_CHAIN_BYTES;
use crate::error::AddErrorKind;
use crate::index::QueueSize;
use crate::memory::Memory;
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
    let (segments, size) = (readable.len() + writable.len(), size.get());
    let bytes = Segment::total(readable) + Segment::total(writable);
    match u16::try_from(segments) {
        Ok(0) => AddErrorKind::Empty,
        Ok(_) if bytes > MAX_CHAIN_BYTES => AddErrorKind::TooManyBytes { bytes },
        // All other reasons are excluded.
        Ok(needed) if needed <= free => AddErrorKind::EmptySegment,
        Ok(needed) if needed <= size => AddErrorKind::Full { free, needed },
        _ => AddErrorKind::TooLong { segments, size },
    }
}
