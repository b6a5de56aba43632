//! The three rings of a split queue, whose bounds are proved once.
//!
//! An access to an [`Area`] compares its offset with the area's bounds. A burst makes many accesses
//! to the same three rings. So it resolves the rings once, and from then on an access takes an
//! entry modulo the size of the queue, which needs no comparison.
//!
//! [`AreaRings`] is the implementation for any area. It accesses the areas as always, with their
//! own checks.

use super::Area;
use super::table::{AreaTable, Table};

/// The descriptors, the available ring and the used ring of a split queue.
///
/// All accesses are of the kind of [`Area::read`] and [`Area::write`]. The index of an entry is
/// taken modulo the size of the queue.
pub trait Rings {
    /// The descriptors.
    type Table<'r>: Table
    where
        Self: 'r;

    /// Returns the descriptors.
    fn table(&self) -> Self::Table<'_>;

    /// Writes a descriptor as two words. The index is taken modulo the size of the queue.
    fn set_descriptor(&self, index: usize, words: (u64, u64));

    /// Reads an entry of the available ring.
    fn available(&self, entry: usize) -> u16;

    /// Writes an entry of the available ring.
    fn set_available(&self, entry: usize, head: u16);

    /// Reads an entry of the used ring: `id` and `len`.
    fn used(&self, entry: usize) -> (u32, u32);

    /// Writes an entry of the used ring: `id` and `len`.
    fn set_used(&self, entry: usize, used: (u32, u32));
}

/// The size of an entry of the available ring in bytes.
pub(super) const AVAILABLE: usize = 2;
/// The size of an entry of the used ring in bytes.
pub(super) const USED: usize = 8;
/// The offset of the available ring in its area, and of the used ring in its area.
pub(super) const ENTRIES: usize = 4;

/// The [`Rings`] in any areas.
#[derive(Clone, Debug)]
pub struct AreaRings<A> {
    descriptors: A,
    available: A,
    used: A,
    mask: usize,
}

impl<A: Area> AreaRings<A> {
    /// Returns the rings of a queue of `size` descriptors, a power of two: the descriptors, the
    /// available ring and the used ring in their areas.
    pub fn new([descriptors, available, used]: [&A; 3], size: u16) -> Self {
        let (descriptors, available, used) = (descriptors.clone(), available.clone(), used.clone());
        Self { descriptors, available, used, mask: usize::from(size).saturating_sub(1) }
    }

    #[inline]
    const fn available_offset(&self, entry: usize) -> usize {
        ENTRIES + (entry & self.mask) * AVAILABLE
    }

    #[inline]
    const fn used_offset(&self, entry: usize) -> usize {
        ENTRIES + (entry & self.mask) * USED
    }
}

impl<A: Area> Rings for AreaRings<A> {
    type Table<'r>
        = AreaTable<'r, A>
    where
        Self: 'r;

    #[inline]
    fn table(&self) -> AreaTable<'_, A> {
        AreaTable::new(&self.descriptors, self.mask)
    }

    #[inline]
    fn set_descriptor(&self, index: usize, words: (u64, u64)) {
        self.table().set(index & self.mask, words);
    }

    #[inline]
    fn available(&self, entry: usize) -> u16 {
        self.available.read(self.available_offset(entry))
    }

    #[inline]
    fn set_available(&self, entry: usize, head: u16) {
        self.available.write(self.available_offset(entry), head);
    }

    #[inline]
    fn used(&self, entry: usize) -> (u32, u32) {
        self.used.read_pair(self.used_offset(entry))
    }

    #[inline]
    fn set_used(&self, entry: usize, used: (u32, u32)) {
        self.used.write_pair(self.used_offset(entry), used);
    }
}
