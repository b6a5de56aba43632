//! A position in the descriptor ring of a packed queue, whose bounds are proved once.
//!
//! An access to an [`Area`] compares its offset with the area's bounds. A burst makes many accesses
//! to the same ring. So it resolves the ring once: a [`Walk`] stands on one descriptor and only
//! moves to others, which needs no comparison at an access.
//!
//! [`AreaWalk`] is the implementation for any area. It accesses the area as always, with the area's
//! own checks.

use super::{Area, Load, Store};

/// A descriptor in the ring of a packed queue.
pub trait Walk {
    /// [`read`](Area::read)s `addr` of this descriptor.
    fn address(&self) -> u64;

    /// [`write`](Area::write)s `addr` of this descriptor.
    fn set_address(&self, address: u64);

    /// [`load`](Area::load)s `len`, `id` and `flags` of this descriptor as one word.
    fn control(&self, order: Load) -> u64;

    /// [`store`](Area::store)s `len`, `id` and `flags` of this descriptor as one word.
    fn set_control(&self, control: u64, order: Store);

    /// Moves `count` descriptors on, at most as many as the ring has. Returns whether the move
    /// passed the end of the ring.
    fn advance(&mut self, count: u16) -> bool;

    /// Returns the index of this descriptor.
    fn slot(&self) -> u16;

    /// Moves to the descriptor with this index, which the ring has.
    fn move_to(&mut self, slot: u16);
}

/// The size of a descriptor in bytes.
pub(super) const DESCRIPTOR: usize = 16;
/// The offset of `len`, `id` and `flags` in a descriptor.
pub(super) const CONTROL: usize = 8;

/// A [`Walk`] in any area, through the descriptors from its start on.
#[derive(Clone, Debug)]
pub struct AreaWalk<A> {
    area: A,
    size: u16,
    slot: u16,
}

impl<A: Area> AreaWalk<A> {
    /// Returns the descriptor `slot` of a queue of `size` descriptors.
    pub fn new(area: &A, size: u16, slot: u16) -> Self {
        Self { area: area.clone(), size, slot }
    }

    #[inline]
    fn offset(&self) -> usize {
        usize::from(self.slot) * DESCRIPTOR
    }
}

impl<A: Area> Walk for AreaWalk<A> {
    #[inline]
    fn address(&self) -> u64 {
        self.area.read(self.offset())
    }

    #[inline]
    fn set_address(&self, address: u64) {
        self.area.write(self.offset(), address);
    }

    #[inline]
    fn control(&self, order: Load) -> u64 {
        self.area.load(self.offset() + CONTROL, order)
    }

    #[inline]
    fn set_control(&self, control: u64, order: Store) {
        self.area.store(self.offset() + CONTROL, control, order);
    }

    #[inline]
    fn advance(&mut self, count: u16) -> bool {
        // Neither number is larger than 2^15.
        self.slot += count;
        let passed = self.slot >= self.size;
        if passed {
            self.slot -= self.size;
        }
        passed
    }

    #[inline]
    fn slot(&self) -> u16 {
        self.slot
    }

    #[inline]
    fn move_to(&mut self, slot: u16) {
        self.slot = slot;
    }
}
