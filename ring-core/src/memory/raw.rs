//! Shared memory behind a pointer, for kernels, firmware, and processes that do their own mapping.

// UNSAFETY: dereferences the pointer that the creator of a `RawMemory` vouched for.
#![expect(unsafe_code)]

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU8;

use crate::segment::Segment;

use super::copy::{copy_in, copy_out};
use super::raw_rings::RawRings;
use super::raw_table::RawTable;
use super::raw_walk::RawWalk;
use super::rings::{AVAILABLE, ENTRIES, USED};
use super::table::{DESCRIPTOR, Table};
use super::word::Word;
use super::{AccessError, AlignedWord, Area, Barriers, Load, Memory, Smp, Store};

/// A contiguous window of shared memory.
///
/// The window maps the addresses `address..address + len` to the bytes behind a pointer. A kernel
/// typically has one window for each DMA allocation. A kernel's direct map is not suitable: the
/// kernel also accesses the memory there by other means, which [`new`](Self::new) does not allow.
///
/// Every access is a relaxed or ordered atomic. So a peer that writes the same bytes at the same
/// time causes unexpected values, never undefined behaviour.
///
/// ```
/// use ring_core::memory::{AlignedWord, Memory, RawMemory};
///
/// let mut page = [AlignedWord::ZERO; 512];
/// // The other side knows this page as 0x1000.
/// let memory = RawMemory::from_mut(&mut page, 0x1000);
/// memory.write_bytes(0x1ffe, b"ok").unwrap();
/// assert!(memory.write_bytes(0x1fff, b"no").is_err());
/// ```
#[derive(Clone, Debug)]
pub struct RawMemory<'m, B = Smp> {
    start: NonNull<u8>,
    address: u64,
    len: usize,
    barriers: B,
    shared: PhantomData<&'m [AtomicU8]>,
}

// SAFETY: a `RawMemory` is equivalent to a shared slice of atomic bytes, which is `Send`.
unsafe impl<B: Send> Send for RawMemory<'_, B> {}
// SAFETY: a shared slice of atomic bytes is `Sync`, and no method needs `&mut`.
unsafe impl<B: Sync> Sync for RawMemory<'_, B> {}

impl<'m> RawMemory<'m> {
    /// Returns a window onto `len` bytes at `start`, which the other side knows as `address`.
    ///
    /// A queue is set up in the window only if `start` and `address` are equal modulo eight.
    ///
    /// # Safety
    ///
    /// For the whole of `'m`, the `len` bytes at `start` are mapped, readable and writable, and
    /// this program accesses them only through atomics (through this window, its clones, or atomics
    /// of its own). What the other side of the queue does to these bytes does not matter.
    ///
    /// A device that accesses memory by itself follows descriptors wherever they lead. So where
    /// such a device uses a queue in the window, this program writes the queue's areas and tables
    /// only through the queue, not by [`write_bytes`](Memory::write_bytes). A driver queue in the
    /// window lends its device only segments in the window. To lend other memory, wrap the window
    /// in [`Dma`](super::Dma).
    #[must_use]
    pub const unsafe fn new(start: NonNull<u8>, address: u64, len: usize) -> Self {
        Self { start, address, len, barriers: Smp, shared: PhantomData }
    }

    /// Returns a window onto memory that this program owns. The other side knows the memory as
    /// `address`.
    ///
    /// A queue can be set up in the window only if `address` is a multiple of eight.
    ///
    /// The window is for a queue whose other side is in this program, or is confined to memory that
    /// it shares with this program: such a side resolves each address through a [`Memory`] of its
    /// own. Do not tell the address of the window to a device that accesses memory by itself,
    /// because the device does not know when `'m` ends; use [`new`](Self::new).
    pub fn from_mut(words: &'m mut [AlignedWord], address: u64) -> Self {
        let len = size_of_val(words);
        let start = NonNull::from(words).cast();
        // SAFETY: the exclusive borrow is held for 'm, so the bytes stay mapped, and only this
        // window and its clones can access them.
        unsafe { Self::new(start, address, len) }
    }

    /// Returns the same window with other barriers than those for a peer on the same system.
    #[must_use]
    pub const fn with_barriers<B: Barriers>(self, barriers: B) -> RawMemory<'m, B> {
        let Self { start, address, len, .. } = self;
        RawMemory { start, address, len, barriers, shared: PhantomData }
    }
}

impl<B> RawMemory<'_, B> {
    /// Returns the start of `len` bytes at `address`, if all of them lie in the window.
    #[inline]
    fn resolve(&self, address: u64, len: usize) -> Result<NonNull<u8>, AccessError> {
        let unmapped = AccessError { address, len: len as u64 };
        let offset = address.checked_sub(self.address).ok_or(unmapped)?;
        let offset = usize::try_from(offset).map_err(|_| unmapped)?;
        let end = offset.checked_add(len).ok_or(unmapped)?;
        if end > self.len {
            return Err(unmapped);
        }
        // SAFETY: `offset <= end <= self.len`, so the result stays within the one mapping that the
        // creator of the window vouched for.
        Ok(unsafe { self.start.add(offset) })
    }
}

impl<'m, B: Barriers> Memory for RawMemory<'m, B> {
    type Area = RawArea<'m, B>;

    fn area(&self, address: u64, len: usize) -> Result<RawArea<'m, B>, AccessError> {
        let start = self.resolve(address, len)?;
        if !is_aligned_alike(start, address) {
            return Err(AccessError { address, len: len as u64 });
        }
        // SAFETY: `resolve` found the `len` bytes inside the window, and the creator of the window
        // promised to `RawMemory::new` what `RawArea::new` requires.
        Ok(unsafe { RawArea::new(start, len, self.barriers) })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        let start = self.resolve(address, into.len())?;
        // SAFETY: `resolve` found `into.len()` bytes at `start` inside the window, whose creator
        // vouched for them.
        unsafe { copy_out(start.as_ptr(), into) };
        Ok(())
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        let start = self.resolve(address, from.len())?;
        // SAFETY: `resolve` found `from.len()` bytes at `start` inside the window, whose creator
        // vouched for them.
        unsafe { copy_in(start.as_ptr(), from) };
        Ok(())
    }

    #[inline]
    fn table(&self, Segment { address, len }: Segment) -> Option<impl Table> {
        let len = len as usize;
        let start = self.resolve(address, len).ok()?.as_ptr();
        let last = (len / DESCRIPTOR).checked_sub(1)?;
        if start.addr() % 8 != 0 || len % DESCRIPTOR != 0 {
            return None;
        }
        // SAFETY: `resolve` found the descriptors inside the window, whose creator vouched for
        // them, and they are aligned.
        Some(unsafe { RawTable::new(start, last) })
    }

    #[inline]
    fn lend(&self, segment: Segment) -> Result<(), AccessError> {
        let Segment { address, len } = segment;
        let (window, len) = (self.len as u64, u64::from(len));
        // An address before the window wraps around to an offset behind it.
        if len <= window && address.wrapping_sub(self.address) <= window - len {
            return Ok(());
        }
        Err(AccessError { address, len })
    }

    #[inline]
    fn fence(&self) {
        self.barriers.full();
    }
}

/// Returns whether a pointer and an address are equal modulo 8, the size of the largest word.
pub(super) fn is_aligned_alike(start: NonNull<u8>, address: u64) -> bool {
    (start.addr().get() as u64 ^ address) % 8 == 0
}

/// A resolved part of a [`RawMemory`], checked on every access.
#[derive(Clone, Debug)]
pub struct RawArea<'m, B = Smp> {
    start: NonNull<u8>,
    /// For words of 2, 4 and 8 bytes: the first offset at which the word no longer fits, or 0 if
    /// the start of the area is not aligned for the word. So one comparison proves both the bounds
    /// and the alignment.
    words: [usize; 3],
    /// The same for pairs of words.
    pairs: [usize; 3],
    barriers: B,
    shared: PhantomData<&'m [AtomicU8]>,
}

// SAFETY: a `RawArea` is a part of a `RawMemory`, with the same accesses.
unsafe impl<B: Send> Send for RawArea<'_, B> {}
// SAFETY: a `RawArea` is a part of a `RawMemory`, with the same accesses.
unsafe impl<B: Sync> Sync for RawArea<'_, B> {}

impl<B> RawArea<'_, B> {
    /// Returns the area of `len` bytes at `start`.
    ///
    /// # Safety
    ///
    /// For the lifetime of the area, the `len` bytes at `start` are mapped, readable and writable,
    /// and this program accesses them only through atomics.
    pub(super) unsafe fn new(start: NonNull<u8>, len: usize, barriers: B) -> Self {
        let [two, four, eight] = [2, 4, 8].map(|width| {
            // The width is a power of two.
            let aligned = start.addr().get() & (width - 1) == 0;
            if aligned { (len + 1).saturating_sub(width) } else { 0 }
        });
        let pairs = [two.saturating_sub(2), four.saturating_sub(4), eight.saturating_sub(8)];
        Self { start, words: [two, four, eight], pairs, barriers, shared: PhantomData }
    }

    /// Returns a pointer to the word at `offset`, if the word lies in the area. The pointer is
    /// valid and aligned for `W`.
    #[inline]
    fn word<W: Word>(&self, offset: usize) -> Option<*mut u8> {
        // Every layout uses natural alignment. So this changes no offset, and the compiler removes
        // the operation where it can prove that.
        let offset = offset & !(size_of::<W>() - 1);
        (offset < self.words[W::WIDTH]).then(|| self.start.as_ptr().wrapping_add(offset))
    }

    /// Returns a pointer to the `len` bytes at `offset`, if they lie in the area and are aligned to
    /// `align`, which is 2, 4 or 8. The pointer is valid for these bytes.
    #[inline]
    pub(super) fn cells(&self, offset: usize, len: usize, align: usize) -> Option<*mut u8> {
        let start = self.start.as_ptr().wrapping_add(offset);
        // The first offset at which two bytes no longer fit, plus one, is the area's length, or 1
        // if not even two bytes are aligned.
        let end = self.words[0].checked_add(1)?;
        let fits = len >= 2 && offset.checked_add(len)? <= end;
        (fits && start.addr() & (align - 1) == 0).then_some(start)
    }

    /// Returns pointers to the two words of the pair at `offset`, if the pair lies in the area. The
    /// pointers are valid and aligned for `W`.
    #[inline]
    fn pair<W: Word>(&self, offset: usize) -> Option<[*mut u8; 2]> {
        let offset = offset & !(size_of::<W>() - 1);
        let start = self.start.as_ptr().wrapping_add(offset);
        (offset < self.pairs[W::WIDTH]).then(|| [start, start.wrapping_add(size_of::<W>())])
    }
}

impl<'m, B: Barriers> Area for RawArea<'m, B> {
    type Rings = RawRings<'m>;
    type Walk = RawWalk<'m, B>;

    #[inline]
    fn rings([descriptors, available, used]: [&Self; 3], size: u16) -> RawRings<'m> {
        let size_of = |cell| usize::from(size) * cell;
        let descriptors = descriptors.cells(0, size_of(DESCRIPTOR), 8);
        let available = available.cells(ENTRIES, size_of(AVAILABLE), 2);
        let used = used.cells(ENTRIES, size_of(USED), 4);
        // SAFETY: `cells` found the cells in the areas and aligned, and the creators of the areas
        // vouched for their mapping.
        unsafe { RawRings::new([descriptors, available, used], size) }
    }

    #[inline]
    fn walk(&self, size: u16, slot: u16) -> RawWalk<'m, B> {
        let start = self.cells(0, usize::from(size) * DESCRIPTOR, 8);
        // SAFETY: as in `rings`.
        unsafe { RawWalk::new(start, self.barriers, size, slot) }
    }

    #[inline]
    fn read<W: Word>(&self, offset: usize) -> W {
        let Some(word) = self.word::<W>(offset) else { return nothing() };
        // SAFETY: `word` returned a pointer inside the area, for whose mapping the caller of `new`
        // vouched, and aligned for `W`.
        unsafe { W::read(word) }
    }

    #[inline]
    fn write<W: Word>(&self, offset: usize, value: W) {
        let Some(word) = self.word::<W>(offset) else { return };
        // SAFETY: as in `read`.
        unsafe { W::write(word, value) };
    }

    #[inline]
    fn read_pair<W: Word>(&self, offset: usize) -> (W, W) {
        let Some([first, second]) = self.pair::<W>(offset) else { return nothing() };
        // SAFETY: `pair` returned pointers inside the area, for whose mapping the caller of `new`
        // vouched, and aligned for `W`.
        let first = unsafe { W::read(first) };
        // SAFETY: as for `first`.
        let second = unsafe { W::read(second) };
        (first, second)
    }

    #[inline]
    fn write_pair<W: Word>(&self, offset: usize, values: (W, W)) {
        let Some([first, second]) = self.pair::<W>(offset) else { return };
        // SAFETY: as in `read_pair`.
        unsafe { W::write(first, values.0) };
        // SAFETY: as in `read_pair`.
        unsafe { W::write(second, values.1) };
    }

    #[inline]
    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        let Some(word) = self.word::<W>(offset) else { return nothing() };
        match order {
            // SAFETY: as in `read`.
            Load::Relaxed => unsafe { W::read(word) },
            // SAFETY: as in `read`.
            Load::Acquire => unsafe { W::acquire(word, self.barriers) },
        }
    }

    #[inline]
    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        let Some(word) = self.word::<W>(offset) else { return };
        match order {
            // SAFETY: as in `read`.
            Store::Relaxed => unsafe { W::write(word, value) },
            // SAFETY: as in `read`.
            Store::Release => unsafe { W::release(word, value, self.barriers) },
        }
    }
}

/// Returns the value of a read outside an area. A cold call, so that all other reads stay short.
#[cold]
fn nothing<T: Default>() -> T {
    T::default()
}
