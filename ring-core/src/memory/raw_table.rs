//! A table of split descriptors behind a pointer.

// UNSAFETY: dereferences a pointer to descriptors, whose mapping the caller of `new` vouched for.
#![expect(unsafe_code)]

use core::marker::PhantomData;
use core::sync::atomic::AtomicU8;

use super::table::{DESCRIPTOR, Table};
use super::word::Access as _;

/// A [`Table`] in plain memory.
#[derive(Clone, Copy, Debug)]
pub struct RawTable<'m> {
    /// A pointer to `last + 1` descriptors, aligned to 8.
    start: *mut u8,
    /// The index of the last descriptor.
    last: usize,
    shared: PhantomData<&'m [AtomicU8]>,
}

impl RawTable<'_> {
    /// Returns the table at `start` whose last descriptor has the index `last`.
    ///
    /// # Safety
    ///
    /// For `'m`, the descriptors up to the last one are mapped, readable and writable, `start` is
    /// aligned to 8, and this program accesses the descriptors only through atomics.
    #[inline]
    pub(super) const unsafe fn new(start: *mut u8, last: usize) -> Self {
        Self { start, last, shared: PhantomData }
    }

    /// Returns the index of the last descriptor.
    #[inline]
    pub(super) const fn last(&self) -> usize {
        self.last
    }

    /// Returns pointers to the words of a descriptor. The pointers are valid and aligned if the
    /// table has this descriptor.
    #[inline]
    const fn at(&self, index: usize) -> [*mut u8; 2] {
        let start = self.start.wrapping_add(index * DESCRIPTOR);
        [start, start.wrapping_add(8)]
    }
}

impl Table for RawTable<'_> {
    #[inline]
    fn size(&self) -> usize {
        self.last + 1
    }

    #[inline]
    fn get(&self, index: usize) -> Option<(u64, u64)> {
        if index > self.last {
            return None;
        }
        let [address, rest] = self.at(index);
        // SAFETY: the caller of `new` vouched for the descriptors up to the last one.
        let address = unsafe { u64::read(address) };
        // SAFETY: as for `address`.
        let rest = unsafe { u64::read(rest) };
        Some((address, rest))
    }

    #[inline]
    fn set(&self, index: usize, words: (u64, u64)) {
        if index > self.last {
            return;
        }
        let [address, rest] = self.at(index);
        // SAFETY: as in `get`.
        unsafe { u64::write(address, words.0) };
        // SAFETY: as in `get`.
        unsafe { u64::write(rest, words.1) };
    }

    #[inline]
    fn set_rest(&self, index: usize, rest: u64) {
        if index > self.last {
            return;
        }
        let [_, at] = self.at(index);
        // SAFETY: as in `get`.
        unsafe { u64::write(at, rest) };
    }
}
