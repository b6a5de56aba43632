//! Which buffers a driver end accepts, and the reasons for refusing the others.
//!
//! A segment of no bytes is refused, because devices do not agree on its meaning: QEMU's devices
//! stop the queue.

use crate::chain::{MAX_CHAIN_BYTES, Segment};
use crate::error::AddErrorKind;
use crate::index::QueueSize;
use crate::ring::State;

/// Returns the segment count of a buffer that fits into `free` descriptors of a running queue, else
/// `None`.
#[inline]
pub(crate) fn fitting(readable: &[Segment], writable: &[Segment], state: State, free: u16) -> Option<u16> {
    let count = readable.len() + writable.len();
    let fits = state.is_running() && count.wrapping_sub(1) < usize::from(free);
    fits.then(|| u16::try_from(count).ok()).flatten()
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
        Ok(needed) if needed <= free => AddErrorKind::EmptySegment,
        Ok(needed) if needed <= size => AddErrorKind::Full { free, needed },
        _ => AddErrorKind::TooLong { segments, size },
    }
}
