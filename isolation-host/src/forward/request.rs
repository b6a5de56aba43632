//! A request of the guest that it has not got back yet.

use ring_core::{Segment, Token};
use smallvec::SmallVec;

use super::placement::Placement;

/// A request that was taken from the guest's ring.
///
/// It can be offered to a device any number of times, and completed once.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) token: Token,
    /// A private copy of the guest's descriptors, checked when it was taken.
    pub(super) buffer: Pieces,
    /// Where it lies in the isolated area, while a device has it.
    pub(super) placement: Placement,
}

impl Request {
    pub(super) fn new(token: Token, readable: &[Segment], writable: &[Segment]) -> Self {
        Self { token, buffer: Pieces::new(readable, writable), placement: Placement::default() }
    }
}

/// What the device may read, and then what it may write.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    all: SmallVec<[Segment; 4]>,
    /// How many of them are readable.
    readable: usize,
}

impl Pieces {
    fn new(readable: &[Segment], writable: &[Segment]) -> Self {
        let mut all = SmallVec::from_slice(readable);
        all.extend_from_slice(writable);
        Self { all, readable: readable.len() }
    }

    /// Adds a readable piece. There is no writable one yet.
    pub(super) fn push_readable(&mut self, piece: Segment) {
        self.readable += 1;
        self.all.push(piece);
    }

    pub(super) fn push_writable(&mut self, piece: Segment) {
        self.all.push(piece);
    }

    pub(super) fn clear(&mut self) {
        self.readable = 0;
        self.all.clear();
    }

    pub(super) fn readable(&self) -> &[Segment] {
        self.all.get(..self.readable).unwrap_or_default()
    }

    pub(super) fn writable(&self) -> &[Segment] {
        self.all.get(self.readable..).unwrap_or_default()
    }

    pub(super) fn all(&self) -> &[Segment] {
        &self.all
    }

    pub(super) fn all_mut(&mut self) -> &mut [Segment] {
        &mut self.all
    }
}
