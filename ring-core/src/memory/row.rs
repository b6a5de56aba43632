//! Rings of cells in an area, whose bounds are proved once.
//!
//! An access to an [`Area`] compares its offset with the area's bounds. A burst makes many accesses
//! to the same few rings of equal cells. So it resolves each ring once, and from then on no access
//! needs a comparison: a [`Row`] takes the index modulo the number of cells, and a [`Walk`] stands
//! on one cell and only moves to others.
//!
//! [`AreaRow`] and [`AreaWalk`] are the implementations for any area. They access the area as
//! always, with its own checks.

use super::{Area, Load, Store, Word};

/// A ring of cells of equal size, whose number is a power of two.
pub trait Row {
    /// [`read`](Area::read)s the field at offset `field` of a cell. The index is taken modulo the
    /// number of cells.
    fn read<W: Word>(&self, index: usize, field: usize) -> W;

    /// [`write`](Area::write)s the field at offset `field` of a cell. The index is taken modulo the
    /// number of cells.
    fn write<W: Word>(&self, index: usize, field: usize, value: W);
}

/// A cell in a ring of any number of cells of equal size.
pub trait Walk {
    /// [`read`](Area::read)s the field at offset `field` of this cell.
    fn read<W: Word>(&self, field: usize) -> W;

    /// [`write`](Area::write)s the field at offset `field` of this cell.
    fn write<W: Word>(&self, field: usize, value: W);

    /// [`load`](Area::load)s the field at offset `field` of this cell.
    fn load<W: Word>(&self, field: usize, order: Load) -> W;

    /// [`store`](Area::store)s the field at offset `field` of this cell.
    fn store<W: Word>(&self, field: usize, value: W, order: Store);

    /// Moves `count` cells on, at most as many as the ring has. Returns whether the move passed the
    /// end of the ring.
    fn advance(&mut self, count: u16) -> bool;

    /// Returns the index of this cell.
    fn slot(&self) -> u16;
}

/// A [`Row`] in any area.
#[derive(Clone, Debug)]
pub struct AreaRow<A, const CELL: usize> {
    area: A,
    offset: usize,
    mask: usize,
}

impl<A: Area + Clone, const CELL: usize> AreaRow<A, CELL> {
    /// Returns the ring of `count` cells that starts at `offset`. `count` is a power of two.
    pub fn new(area: &A, offset: usize, count: u16) -> Self {
        Self { area: area.clone(), offset, mask: usize::from(count).saturating_sub(1) }
    }

    #[inline]
    const fn at(&self, index: usize, field: usize) -> usize {
        self.offset + (index & self.mask) * CELL + field
    }
}

impl<A: Area + Clone, const CELL: usize> Row for AreaRow<A, CELL> {
    #[inline]
    fn read<W: Word>(&self, index: usize, field: usize) -> W {
        self.area.read(self.at(index, field))
    }

    #[inline]
    fn write<W: Word>(&self, index: usize, field: usize, value: W) {
        self.area.write(self.at(index, field), value);
    }
}

/// A [`Walk`] in any area, through the cells from its start on.
#[derive(Clone, Debug)]
pub struct AreaWalk<A, const CELL: usize> {
    area: A,
    count: u16,
    slot: u16,
}

impl<A: Area + Clone, const CELL: usize> AreaWalk<A, CELL> {
    /// Returns cell `slot` of `count` cells.
    pub fn new(area: &A, count: u16, slot: u16) -> Self {
        Self { area: area.clone(), count, slot }
    }

    #[inline]
    fn at(&self, field: usize) -> usize {
        usize::from(self.slot) * CELL + field
    }
}

impl<A: Area + Clone, const CELL: usize> Walk for AreaWalk<A, CELL> {
    #[inline]
    fn read<W: Word>(&self, field: usize) -> W {
        self.area.read(self.at(field))
    }

    #[inline]
    fn write<W: Word>(&self, field: usize, value: W) {
        self.area.write(self.at(field), value);
    }

    #[inline]
    fn load<W: Word>(&self, field: usize, order: Load) -> W {
        self.area.load(self.at(field), order)
    }

    #[inline]
    fn store<W: Word>(&self, field: usize, value: W, order: Store) {
        self.area.store(self.at(field), value, order);
    }

    #[inline]
    fn advance(&mut self, count: u16) -> bool {
        // Neither number is larger than 2^15.
        self.slot += count;
        let passed = self.slot >= self.count;
        if passed {
            self.slot -= self.count;
        }
        passed
    }

    #[inline]
    fn slot(&self) -> u16 {
        self.slot
    }
}
