//! The three rings of a split queue behind pointers.

// UNSAFETY: dereferences pointers into three `RawArea`s, whose bounds were compared once.
#![expect(unsafe_code)]

use core::marker::PhantomData;
use core::sync::atomic::AtomicU8;

use super::raw_table::RawTable;
use super::raw_walk::no_cell;
use super::rings::{AVAILABLE, Rings, USED};
use super::table::Table as _;
use super::word::Access as _;

/// The [`Rings`] in three [`RawArea`](super::RawArea)s.
#[derive(Clone, Copy, Debug)]
pub struct RawRings<'m> {
    /// The descriptors. Their number is a power of two, so the index of the last descriptor is also
    /// the mask for the entries of the other rings.
    table: RawTable<'m>,
    /// A pointer to as many entries of the available ring, aligned to 2.
    available: *mut u8,
    /// A pointer to as many entries of the used ring, aligned to 4.
    used: *mut u8,
    shared: PhantomData<&'m [AtomicU8]>,
}

impl<'m> RawRings<'m> {
    /// Returns the rings of a queue of `size` descriptors: pointers to the descriptors, to the
    /// available ring and to the used ring. If one of these is missing, or the size is not a power
    /// of two, returns rings that no queue uses.
    ///
    /// # Safety
    ///
    /// For `'m`, the `size` cells of each ring are mapped, readable and writable, aligned to 8, 2
    /// and 4, and this program accesses them only through atomics.
    #[inline]
    pub(super) unsafe fn new(rings: [Option<*mut u8>; 3], size: u16) -> Self {
        let ([descriptors, available, used], mask) = match rings {
            [Some(descriptors), Some(available), Some(used)] if size.is_power_of_two() => {
                ([descriptors, available, used], usize::from(size) - 1)
            }
            _ => ([no_cell(); 3], 0),
        };
        // SAFETY: the caller vouched for as many descriptors, or they are the cell of no queue.
        let table = unsafe { RawTable::new(descriptors, mask) };
        Self { table, available, used, shared: PhantomData }
    }

    /// Returns the remainder of the index of an entry.
    #[inline]
    const fn masked(&self, entry: usize) -> usize {
        entry & self.table.last()
    }
}

impl<'m> Rings for RawRings<'m> {
    type Table<'r>
        = RawTable<'m>
    where
        Self: 'r;

    #[inline]
    fn table(&self) -> RawTable<'m> {
        self.table
    }

    #[inline]
    fn set_descriptor(&self, index: usize, words: (u64, u64)) {
        self.table.set(self.masked(index), words);
    }

    #[inline]
    fn available(&self, entry: usize) -> u16 {
        let at = self.available.wrapping_add(self.masked(entry) * AVAILABLE);
        // SAFETY: the caller of `new` vouched for the entries, and the index is taken modulo their
        // number.
        unsafe { u16::read(at) }
    }

    #[inline]
    fn set_available(&self, entry: usize, head: u16) {
        let at = self.available.wrapping_add(self.masked(entry) * AVAILABLE);
        // SAFETY: as in `available`.
        unsafe { u16::write(at, head) };
    }

    #[inline]
    fn used(&self, entry: usize) -> (u32, u32) {
        let at = self.used.wrapping_add(self.masked(entry) * USED);
        // SAFETY: as in `available`; an entry has two words of 4 bytes.
        let id = unsafe { u32::read(at) };
        // SAFETY: as for `id`.
        let len = unsafe { u32::read(at.wrapping_add(4)) };
        (id, len)
    }

    #[inline]
    fn set_used(&self, entry: usize, (id, len): (u32, u32)) {
        let at = self.used.wrapping_add(self.masked(entry) * USED);
        // SAFETY: as in `used`.
        unsafe { u32::write(at, id) };
        // SAFETY: as in `used`.
        unsafe { u32::write(at.wrapping_add(4), len) };
    }
}
