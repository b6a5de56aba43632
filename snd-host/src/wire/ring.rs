//! The positions of frames in the bytes of a shared area.

use std::ops::Range;

use crate::pcm::Params;

/// A ring of frames.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    frame_bytes: usize,
    /// Number of frames.
    capacity: u64,
}

impl Ring {
    /// Describes the ring of frames with `params` in `bytes` bytes.
    pub(super) const fn new(params: &Params, bytes: usize) -> Self {
        let frame_bytes = params.frame_bytes() as usize;
        Self { frame_bytes, capacity: (bytes / frame_bytes) as u64 }
    }

    pub(super) const fn capacity(&self) -> u64 {
        self.capacity
    }

    pub(super) const fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Returns where `bytes` bytes of whole frames from frame number `first` on are: a part up to
    /// the end of the ring, and a part from its start on. At most `capacity` frames.
    pub(super) fn parts(&self, first: u64, bytes: usize) -> [Range<usize>; 2] {
        // Less than the number of bytes of the ring, which is in memory.
        let start = usize::try_from(first % self.capacity).unwrap_or(0) * self.frame_bytes;
        let end = usize::try_from(self.capacity).unwrap_or(0) * self.frame_bytes;
        let before = bytes.min(end - start);
        [start..start + before, 0..bytes - before]
    }
}
