//! The bounds of the memory that a chain may cover.

use crate::error::Violation;
use crate::segment::Segment;

/// The maximum length of a chain (VIRTIO 1.4, 2.7.5.2 "Driver Requirements: The Virtqueue
/// Descriptor Table").
pub(crate) const MAX_CHAIN_BYTES: u64 = 1 << 32;

/// Returns a number of bytes as completions have it, saturated at `u32::MAX`.
#[inline]
pub(crate) fn saturate(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Returns whether the segment lies within the address space. `false` also for a segment that ends
/// with the last address, which [`check_range`] accepts.
#[inline]
pub(crate) const fn is_in_range(segment: Segment) -> bool {
    segment.address.checked_add(segment.len as u64).is_some()
}

/// Fails unless the segment lies within the address space.
#[inline]
pub(crate) fn check_range(segment: Segment) -> Result<(), Violation> {
    match segment.address.checked_add(segment.len.into()) {
        Some(_) => Ok(()),
        None => check_end(segment),
    }
}

/// The slow path of [`check_range`]: a segment may end with the last address.
#[cold]
fn check_end(Segment { address, len }: Segment) -> Result<(), Violation> {
    match address.wrapping_add(len.into()) {
        0 => Ok(()),
        _ => Err(Violation::AddressOverflow { address, len }),
    }
}
