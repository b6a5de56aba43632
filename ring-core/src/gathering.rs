//! The segments of a chain that a burst collects.

use core::num::NonZeroU64;

use crate::chain_bounds::{MAX_CHAIN_BYTES, is_in_range, saturate};
use crate::segment::Segment;

/// A whole chain whose segments are in the storage.
#[derive(Clone, Copy)]
pub(crate) struct Gathered {
    /// The number of bytes that the device may write; saturated at `u32::MAX`.
    pub(crate) writable: u32,
    /// The number of readable segments.
    pub(crate) readable: u16,
    /// The number of segments, at least 1.
    pub(crate) total: u16,
}

impl Gathered {
    /// Returns the readable and the writable segments.
    #[inline(always)]
    pub(crate) fn segments(self, storage: &[Segment]) -> (&[Segment], &[Segment]) {
        let all = storage.get(..self.total.into()).unwrap_or_default();
        all.split_at_checked(self.readable.into()).unwrap_or_default()
    }

    /// Returns the chain as one word, so that a function returns it in a register.
    #[inline(always)]
    pub(crate) const fn to_word(self) -> Option<NonZeroU64> {
        let Self { writable, readable, total } = self;
        NonZeroU64::new(writable as u64 | (readable as u64) << 32 | (total as u64) << 48)
    }

    /// Undoes [`to_word`](Self::to_word).
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub(crate) const fn from_word(word: NonZeroU64) -> Self {
        let word = word.get();
        Self { writable: word as u32, readable: (word >> 32) as u16, total: (word >> 48) as u16 }
    }
}

/// Collects the segments of a chain as [`Collector`](crate::chain::Collector) does, but only says
/// that the chain breaks a rule or does not fit the storage. The readable segments come first.
pub(crate) struct Gathering<'s> {
    storage: &'s mut [Segment],
    total: usize,
    bytes: u64,
    readable: usize,
    readable_bytes: u64,
}

impl<'s> Gathering<'s> {
    /// Returns an empty chain, which can have at most `longest` segments.
    #[inline(always)]
    pub(crate) fn new(storage: &'s mut [Segment], longest: usize) -> Self {
        let longest = longest.min(usize::from(u16::MAX)).min(storage.len());
        let storage = storage.get_mut(..longest).unwrap_or_default();
        Self { storage, total: 0, bytes: 0, readable: 0, readable_bytes: 0 }
    }

    /// Adds a segment. Returns `None` if the segment breaks a rule or does not fit the storage.
    #[inline(always)]
    pub(crate) fn push(&mut self, segment: Segment) -> Option<()> {
        if !is_in_range(segment) {
            return None;
        }
        *self.storage.get_mut(self.total)? = segment;
        self.bytes += u64::from(segment.len);
        self.total += 1;
        Some(())
    }

    /// Notes that the segments so far are the readable ones.
    #[inline(always)]
    pub(crate) const fn end_readable(&mut self) {
        (self.readable, self.readable_bytes) = (self.total, self.bytes);
    }

    /// Returns the whole chain.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "`new` limits the number of segments")]
    pub(crate) fn finish(self) -> Option<Gathered> {
        let Self { total, bytes, readable, readable_bytes, .. } = self;
        let writable = saturate(bytes - readable_bytes);
        let gathered = Gathered { writable, readable: readable as u16, total: total as u16 };
        (bytes <= MAX_CHAIN_BYTES).then_some(gathered)
    }
}
