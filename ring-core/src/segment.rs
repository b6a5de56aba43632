//! A part of a buffer: its address and its length.

/// A contiguous part of a buffer: `len` bytes at `address`. VIRTIO calls it an element.
///
/// The position of a segment in its buffer decides whether the device may write it: the readable
/// segments come first, then the writable ones (VIRTIO 1.4, 2.7.4.2 "Driver Requirements: Message
/// Framing" and 2.8.17 "Driver Requirements: Scatter-Gather Support").
///
/// Exhaustive, because a descriptor describes a part of a buffer by an address and a length only.
#[doc(alias("element", "iovec", "scatterlist"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Segment {
    /// The address of the first byte, as the two sides exchange it.
    pub address: u64,
    /// The length in bytes.
    pub len: u32,
}

impl Segment {
    /// Returns the segment of `len` bytes at `address`.
    #[must_use]
    pub const fn new(address: u64, len: u32) -> Self {
        Self { address, len }
    }

    /// Returns the total length of `segments` in bytes.
    #[inline]
    #[must_use]
    pub fn total(segments: &[Self]) -> u64 {
        segments.iter().map(|segment| u64::from(segment.len)).sum()
    }

    /// Returns the length in bytes, or 2^32 for an empty segment.
    ///
    /// So one comparison with `MAX_CHAIN_BYTES` refuses both a buffer of several segments that is
    /// too long and a buffer with an empty segment.
    #[inline]
    pub(crate) const fn weight(self) -> u64 {
        self.len.wrapping_sub(1) as u64 + 1
    }
}
