//! A position in the descriptor ring of a packed queue, behind a pointer.

// UNSAFETY: dereferences a pointer into a `RawArea`, whose bounds were compared once.
#![expect(unsafe_code)]

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicU8, AtomicU32};

use super::walk::{CONTROL, DESCRIPTOR, Walk};
use super::word::Access as _;
use super::{Barriers, Load, Store};

/// The largest cell, of words that also processors without 64-bit atomics have.
#[repr(C, align(8))]
struct Cell([AtomicU32; 4]);

/// The cell of a ring that is not in its area. No queue has such a ring, because the areas of a
/// queue are as large as its layout.
static NO_CELL: Cell = Cell([const { AtomicU32::new(0) }; 4]);

/// Returns a pointer to [`NO_CELL`], which is large enough and aligned for the cells of all rings.
pub(super) fn no_cell() -> *mut u8 {
    ptr::from_ref(&NO_CELL).cast::<u8>().cast_mut()
}

/// Returns the offset at which a move of `step` bytes past the end of a ring of `len` bytes ends. A
/// cold call, so that all other moves stay short.
#[cold]
const fn past_end(offset: usize, step: usize, len: usize) -> usize {
    // A step that is larger than the ring would lead out of it. The sum of `offset` and `step` is
    // not an argument, because the compiler would then subtract in all moves.
    if step <= len { offset - (len - step) } else { 0 }
}

/// A [`Walk`] in a [`RawArea`](super::RawArea).
#[derive(Clone, Copy, Debug)]
pub struct RawWalk<'m, B> {
    /// A pointer to the first of the descriptors, aligned to 8.
    start: *mut u8,
    /// The size of all descriptors in bytes.
    len: usize,
    /// The offset of this descriptor: a multiple of [`DESCRIPTOR`], less than `len`.
    offset: usize,
    barriers: B,
    shared: PhantomData<&'m [AtomicU8]>,
}

impl<B: Barriers> RawWalk<'_, B> {
    /// Returns the descriptor `slot` of the `size` descriptors at `start`. Without a `start`,
    /// returns a descriptor that no queue uses.
    ///
    /// # Safety
    ///
    /// For `'m`, the descriptors are mapped, readable and writable, aligned to 8, and this program
    /// accesses them only through atomics.
    #[inline]
    pub(super) unsafe fn new(start: Option<*mut u8>, barriers: B, size: u16, slot: u16) -> Self {
        let (start, len) = match start {
            Some(start) if size > 0 => (start, usize::from(size) * DESCRIPTOR),
            _ => (no_cell(), DESCRIPTOR),
        };
        let mut walk = Self { start, len, offset: 0, barriers, shared: PhantomData };
        walk.move_to(slot);
        walk
    }

    /// Returns a pointer to `addr` of this descriptor. The pointer is valid and aligned.
    #[inline]
    const fn at(&self) -> *mut u8 {
        self.start.wrapping_add(self.offset)
    }
}

impl<B: Barriers> Walk for RawWalk<'_, B> {
    #[inline]
    fn address(&self) -> u64 {
        // SAFETY: `new` found the descriptors inside an area, for whose mapping the creator of the
        // area vouched, and this descriptor is one of them.
        unsafe { u64::read(self.at()) }
    }

    #[inline]
    fn set_address(&self, address: u64) {
        // SAFETY: as in `address`.
        unsafe { u64::write(self.at(), address) };
    }

    #[inline]
    fn control(&self, order: Load) -> u64 {
        let at = self.at().wrapping_add(CONTROL);
        match order {
            // SAFETY: as in `address`.
            Load::Relaxed => unsafe { u64::read(at) },
            // SAFETY: as in `address`.
            Load::Acquire => unsafe { u64::acquire(at, self.barriers) },
        }
    }

    #[inline]
    fn set_control(&self, control: u64, order: Store) {
        let at = self.at().wrapping_add(CONTROL);
        match order {
            // SAFETY: as in `address`.
            Store::Relaxed => unsafe { u64::write(at, control) },
            // SAFETY: as in `address`.
            Store::Release => unsafe { u64::release(at, control, self.barriers) },
        }
    }

    #[inline]
    fn advance(&mut self, count: u16) -> bool {
        let step = usize::from(count) * DESCRIPTOR;
        let next = self.offset + step;
        if next < self.len {
            self.offset = next;
            return false;
        }
        self.offset = past_end(self.offset, step, self.len);
        true
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 2^15 descriptors")]
    fn slot(&self) -> u16 {
        (self.offset / DESCRIPTOR) as u16
    }

    #[inline]
    fn move_to(&mut self, slot: u16) {
        let offset = usize::from(slot) * DESCRIPTOR;
        self.offset = if offset < self.len { offset } else { 0 };
    }
}
