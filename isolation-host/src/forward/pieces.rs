//! The segments of one request.

use ring_core::Segment;
use smallvec::SmallVec;

use crate::area::pool::Side;

/// The largest number of segments whose memory is kept for the next request.
pub(super) const KEPT: usize = 16;

/// The segments that the device may read, followed by the segments that the device may write.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    all: SmallVec<[Segment; 4]>,
    /// The number of readable segments.
    readable: usize,
}

impl Pieces {
    /// Replaces all segments.
    pub(super) fn set(&mut self, readable: &[Segment], writable: &[Segment]) {
        self.clear();
        // For the few segments of a request, pushes are faster than `extend_from_slice`.
        for piece in readable {
            self.push_readable(*piece);
        }
        for piece in writable {
            self.push_writable(*piece);
        }
    }

    /// Adds a readable segment. Call before the first [`push_writable`](Self::push_writable).
    fn push_readable(&mut self, piece: Segment) {
        self.readable += 1;
        self.all.push(piece);
    }

    /// Adds a writable segment.
    fn push_writable(&mut self, piece: Segment) {
        self.all.push(piece);
    }

    /// Removes all segments, and keeps the memory of a few for the next request.
    pub(super) fn clear(&mut self) {
        self.readable = 0;
        self.all.clear();
        if self.all.capacity() > KEPT {
            self.all = SmallVec::new();
        }
    }

    /// Returns whether the segments take little memory.
    #[cfg(test)]
    pub(super) fn is_small(&self) -> bool {
        self.all.capacity() <= KEPT
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Adds a segment. All readable segments come before the first writable one.
    pub(super) fn push(&mut self, side: Side, piece: Segment) {
        match side {
            Side::ToDevice => self.push_readable(piece),
            Side::FromDevice => self.push_writable(piece),
        }
    }

    /// Returns the readable and the writable segments.
    pub(super) fn split(&self) -> (&[Segment], &[Segment]) {
        self.all.split_at_checked(self.readable).unwrap_or_default()
    }

    pub(super) fn readable(&self) -> &[Segment] {
        self.split().0
    }

    pub(super) fn writable(&self) -> &[Segment] {
        self.split().1
    }

    pub(super) fn all(&self) -> &[Segment] {
        &self.all
    }

    /// Returns the readable and the writable segments.
    pub(super) fn split_mut(&mut self) -> (&mut [Segment], &mut [Segment]) {
        self.all.split_at_mut_checked(self.readable).unwrap_or_default()
    }
}
