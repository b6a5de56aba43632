//! A table of split descriptors, whose bounds are proved once.

use super::Area;

/// The size of a descriptor in bytes.
pub(super) const DESCRIPTOR: usize = 16;

/// A table of descriptors: the descriptor area of a split queue, or an indirect table.
///
/// All accesses are of the kind of [`Area::read`] and [`Area::write`].
pub trait Table: Copy {
    /// Returns the number of descriptors.
    fn size(&self) -> usize;

    /// Reads a descriptor as two words. Returns `None` if the table has no descriptor of this
    /// index.
    fn get(&self, index: usize) -> Option<(u64, u64)>;

    /// Writes a descriptor as two words. Has no effect if the table has no descriptor of this
    /// index.
    fn set(&self, index: usize, words: (u64, u64));

    /// Writes the second word of a descriptor. Has no effect if the table has no descriptor of this
    /// index.
    fn set_rest(&self, index: usize, rest: u64);
}

/// A [`Table`] in any area.
#[derive(Debug)]
pub struct AreaTable<'a, A> {
    area: &'a A,
    /// The index of the last descriptor.
    last: usize,
}

impl<'a, A> AreaTable<'a, A> {
    /// Returns the table at the start of an area whose last descriptor has the index `last`.
    pub(super) const fn new(area: &'a A, last: usize) -> Self {
        Self { area, last }
    }
}

impl<A> Clone for AreaTable<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for AreaTable<'_, A> {}

impl<A: Area> Table for AreaTable<'_, A> {
    #[inline]
    fn size(&self) -> usize {
        self.last + 1
    }

    #[inline]
    fn get(&self, index: usize) -> Option<(u64, u64)> {
        (index <= self.last).then(|| self.area.read_pair(index * DESCRIPTOR))
    }

    #[inline]
    fn set(&self, index: usize, words: (u64, u64)) {
        if index <= self.last {
            self.area.write_pair(index * DESCRIPTOR, words);
        }
    }

    #[inline]
    fn set_rest(&self, index: usize, rest: u64) {
        if index <= self.last {
            self.area.write(index * DESCRIPTOR + 8, rest);
        }
    }
}
