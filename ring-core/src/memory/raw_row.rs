//! Rings of cells behind a pointer.

// UNSAFETY: dereferences pointers into a `RawArea`, whose bounds the constructors compare once.
#![expect(unsafe_code)]

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU32};

use super::row::{Row, Walk};
use super::word::Word;
use super::{Barriers, Load, Store};

/// The largest cell. Consists of 32-bit words, because some processors have no 64-bit atomics.
#[repr(C, align(8))]
struct Cell([AtomicU32; 4]);

/// The cell of a ring that is not in its area. No queue has such a ring, because the areas of a
/// queue are as large as its layout.
static NO_CELL: Cell = Cell([const { AtomicU32::new(0) }; 4]);

/// Returns a pointer to [`NO_CELL`], which is large enough for each cell that has fields.
fn no_cell() -> *mut u8 {
    ptr::from_ref(&NO_CELL).cast::<u8>().cast_mut()
}

/// Returns the alignment of the cells of a ring, which is the alignment of the largest word in a
/// cell. Returns 0 for any other cell size: safe code can choose any size, and a cell of such a
/// size has no fields.
pub(super) const fn align(cell: usize) -> usize {
    match cell {
        // Entries of the available ring.
        2 => 2,
        // Used entries.
        8 => 4,
        // Descriptors.
        16 => 8,
        _ => 0,
    }
}

/// Returns whether the word at `field` lies in a cell and is aligned there.
#[inline]
const fn is_in_cell<W>(cell: usize, field: usize) -> bool {
    let width = size_of::<W>();
    width <= align(cell) && field & (width - 1) == 0 && field < cell && width <= cell - field
}

/// A [`Row`] in a [`RawArea`](super::RawArea).
#[derive(Clone, Copy, Debug)]
pub struct RawRow<'m, const CELL: usize> {
    /// A pointer to `mask + 1` cells, aligned for their words.
    start: *mut u8,
    mask: usize,
    shared: PhantomData<&'m [AtomicU8]>,
}

impl<const CELL: usize> RawRow<'_, CELL> {
    /// Returns the ring of `count` cells at `start`. Without a `start`, or if `count` is no power
    /// of two, returns a cell that no queue uses.
    ///
    /// # Safety
    ///
    /// For `'m`, the cells at `start` are mapped, readable and writable, aligned to
    /// [`align`]`(CELL)`, and this program accesses them only through atomics.
    #[inline]
    pub(super) unsafe fn new(start: Option<*mut u8>, count: u16) -> Self {
        match start {
            Some(start) if count.is_power_of_two() => {
                Self { start, mask: usize::from(count) - 1, shared: PhantomData }
            }
            _ => Self { start: no_cell(), mask: 0, shared: PhantomData },
        }
    }

    /// Returns a pointer to the field at `field` of a cell. The pointer is valid and aligned for
    /// `W`.
    #[inline]
    fn at<W: Word>(&self, index: usize, field: usize) -> Option<*mut u8> {
        let at = self.start.wrapping_add((index & self.mask) * CELL).wrapping_add(field);
        is_in_cell::<W>(CELL, field).then_some(at)
    }
}

impl<const CELL: usize> Row for RawRow<'_, CELL> {
    #[inline]
    fn read<W: Word>(&self, index: usize, field: usize) -> W {
        let Some(at) = self.at::<W>(index, field) else { return W::default() };
        // SAFETY: `new` found the cells inside an area, for whose mapping the creator of the area
        // vouched, and `at` returned a pointer to an aligned word in one of the cells.
        unsafe { W::read(at) }
    }

    #[inline]
    fn write<W: Word>(&self, index: usize, field: usize, value: W) {
        let Some(at) = self.at::<W>(index, field) else { return };
        // SAFETY: as in `read`.
        unsafe { W::write(at, value) };
    }
}

/// Returns the offset at which a move past the end of a ring of `len` bytes ends. A cold call, so
/// that all other moves stay short.
#[cold]
const fn past_end(offset: usize, len: usize) -> usize {
    // A count that is larger than the ring would lead out of it.
    if offset - len < len { offset - len } else { 0 }
}

/// A [`Walk`] in a [`RawArea`](super::RawArea).
#[derive(Clone, Copy, Debug)]
pub struct RawWalk<'m, B, const CELL: usize> {
    /// A pointer to the first of the cells, aligned for their words.
    start: *mut u8,
    /// The size of all cells in bytes.
    len: usize,
    /// The offset of this cell: a multiple of `CELL`, less than `len`.
    offset: usize,
    barriers: B,
    shared: PhantomData<&'m [AtomicU8]>,
}

impl<B: Barriers, const CELL: usize> RawWalk<'_, B, CELL> {
    /// Returns cell `slot` of `count` cells at `start`. Without a `start`, returns a cell that no
    /// queue uses.
    ///
    /// # Safety
    ///
    /// The same as for [`RawRow::new`].
    #[inline]
    pub(super) unsafe fn new(start: Option<*mut u8>, barriers: B, count: u16, slot: u16) -> Self {
        let (start, len) = match start {
            Some(start) if count > 0 => (start, usize::from(count) * CELL),
            _ => (no_cell(), CELL),
        };
        let offset = usize::from(slot).saturating_mul(CELL);
        let offset = if offset < len { offset } else { 0 };
        Self { start, len, offset, barriers, shared: PhantomData }
    }

    /// Returns a pointer to the field at `field` of this cell. The pointer is valid and aligned for
    /// `W`.
    #[inline]
    fn at<W: Word>(&self, field: usize) -> Option<*mut u8> {
        let at = self.start.wrapping_add(self.offset).wrapping_add(field);
        is_in_cell::<W>(CELL, field).then_some(at)
    }
}

impl<B: Barriers, const CELL: usize> Walk for RawWalk<'_, B, CELL> {
    #[inline]
    fn read<W: Word>(&self, field: usize) -> W {
        let Some(at) = self.at::<W>(field) else { return W::default() };
        // SAFETY: `new` found the cells inside an area, for whose mapping the creator of the area
        // vouched, and `at` returned a pointer to an aligned word in one of the cells.
        unsafe { W::read(at) }
    }

    #[inline]
    fn write<W: Word>(&self, field: usize, value: W) {
        let Some(at) = self.at::<W>(field) else { return };
        // SAFETY: as in `read`.
        unsafe { W::write(at, value) };
    }

    #[inline]
    fn load<W: Word>(&self, field: usize, order: Load) -> W {
        let Some(at) = self.at::<W>(field) else { return W::default() };
        match order {
            // SAFETY: as in `read`.
            Load::Relaxed => unsafe { W::read(at) },
            // SAFETY: as in `read`.
            Load::Acquire => unsafe { W::acquire(at, self.barriers) },
        }
    }

    #[inline]
    fn store<W: Word>(&self, field: usize, value: W, order: Store) {
        let Some(at) = self.at::<W>(field) else { return };
        match order {
            // SAFETY: as in `read`.
            Store::Relaxed => unsafe { W::write(at, value) },
            // SAFETY: as in `read`.
            Store::Release => unsafe { W::release(at, value, self.barriers) },
        }
    }

    #[inline]
    fn advance(&mut self, count: u16) -> bool {
        let next = self.offset + usize::from(count) * CELL;
        if next < self.len {
            self.offset = next;
            return false;
        }
        self.offset = past_end(next, self.len);
        true
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 2^15 cells")]
    fn slot(&self) -> u16 {
        (self.offset / CELL) as u16
    }
}
