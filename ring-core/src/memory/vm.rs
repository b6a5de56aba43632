//! Shared memory as rust-vmm's `vm-memory` maps it.

// UNSAFETY: turns a mapped region, which the area keeps alive, into a resolved area.
#![expect(unsafe_code)]

extern crate std;

use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;
use core::sync::atomic::{self, Ordering};
use std::sync::Arc;

use vm_memory::bitmap::{Bitmap, NewBitmap};
use vm_memory::{
    Bytes as _, GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap, GuestMemoryRegion as _,
    GuestRegionMmap,
};

use crate::segment::Segment;

use super::raw::is_aligned_alike;
use super::{AccessError, Area, Load, Memory, RawArea, Smp, Store, Word};

/// A snapshot of the memory that a `vm-memory` address space maps.
///
/// `H` is a handle on the snapshot: an `Arc<GuestMemoryMmap<B>>`, or the result of
/// `GuestMemoryAtomic::memory()`. Every area keeps its own region mapped, so an area stays valid
/// when the address space changes. A queue uses the old snapshot, also for indirect tables, until
/// it is set up again. A host that adds memory while chains are in flight implements [`Memory`]
/// itself, over a snapshot that it can exchange.
///
/// If the regions have a dirty bitmap, every write to an area or by
/// [`write_bytes`](Memory::write_bytes) marks the written pages.
#[derive(Clone)]
pub struct VmMemory<H> {
    handle: H,
}

impl<H> VmMemory<H> {
    /// Wraps a handle on mapped memory.
    pub const fn new(handle: H) -> Self {
        Self { handle }
    }
}

impl<H> fmt::Debug for VmMemory<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmMemory").finish_non_exhaustive()
    }
}

impl<H, B> Memory for VmMemory<H>
where
    H: Deref<Target = GuestMemoryMmap<B>>,
    B: NewBitmap + 'static,
{
    type Area = VmArea<B>;

    fn area(&self, address: u64, len: usize) -> Result<VmArea<B>, AccessError> {
        let unmapped = AccessError { address, len: len as u64 };
        let region = self.handle.find_region(GuestAddress(address)).ok_or(unmapped)?;
        // The collection only gives out a shared handle on a region together with a copy of itself
        // that lacks the region.
        let (_, region) =
            self.handle.remove_region(region.start_addr(), region.len()).map_err(|_| unmapped)?;
        let in_region = region.to_region_addr(GuestAddress(address)).ok_or(unmapped)?;
        let slice = region.get_slice(in_region, len).map_err(|_| unmapped)?;
        let start = NonNull::new(slice.ptr_guard_mut().as_ptr()).ok_or(unmapped);
        drop(slice);
        let start = start.ok().filter(|start| is_aligned_alike(*start, address)).ok_or(unmapped)?;
        // SAFETY: `get_slice` found `len` bytes at `start` inside the region's mapping, which lives
        // as long as the handle on the region in the area. Nothing in this program has references
        // to these bytes: vm-memory makes only volatile and atomic accesses to them, as it does to
        // what the guest writes at the same time.
        let raw = unsafe { RawArea::new(start, len, Smp) };
        let offset = usize::try_from(in_region.0).map_err(|_| unmapped)?;
        Ok(VmArea { raw, offset, region })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        let unmapped = AccessError { address, len: into.len() as u64 };
        self.handle.read_slice(into, GuestAddress(address)).map_err(|_| unmapped)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        let unmapped = AccessError { address, len: from.len() as u64 };
        self.handle.write_slice(from, GuestAddress(address)).map_err(|_| unmapped)
    }

    fn lend(&self, segment: Segment) -> Result<(), AccessError> {
        let Segment { address, len } = segment;
        let unmapped = AccessError { address, len: len.into() };
        let mapped = self.handle.check_range(GuestAddress(address), len as usize);
        mapped.then_some(()).ok_or(unmapped)
    }

    #[inline]
    fn fence(&self) {
        atomic::fence(Ordering::SeqCst);
    }
}

/// A resolved part of one region, which the area keeps mapped.
pub struct VmArea<B: Bitmap = ()> {
    /// Points into `region`. The lifetime `'static` stands for the lifetime of `region`.
    raw: RawArea<'static>,
    /// The offset of the area in its region, in bytes.
    offset: usize,
    region: Arc<GuestRegionMmap<B>>,
}

impl<B: Bitmap> VmArea<B> {
    #[inline]
    fn mark_dirty(&self, offset: usize, len: usize) {
        // If the sum saturates, the offset is outside the area, and so outside the bitmap.
        self.region.bitmap().mark_dirty(self.offset.saturating_add(offset), len);
    }
}

impl<B: Bitmap> fmt::Debug for VmArea<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmArea").field("raw", &self.raw).finish_non_exhaustive()
    }
}

impl<B: Bitmap> Area for VmArea<B> {
    #[inline]
    fn read<W: Word>(&self, offset: usize) -> W {
        self.raw.read(offset)
    }

    #[inline]
    fn write<W: Word>(&self, offset: usize, value: W) {
        self.raw.write(offset, value);
        self.mark_dirty(offset, size_of::<W>());
    }

    #[inline]
    fn read_pair<W: Word>(&self, offset: usize) -> (W, W) {
        self.raw.read_pair(offset)
    }

    #[inline]
    fn write_pair<W: Word>(&self, offset: usize, values: (W, W)) {
        self.raw.write_pair(offset, values);
        self.mark_dirty(offset, 2 * size_of::<W>());
    }

    #[inline]
    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        self.raw.load(offset, order)
    }

    #[inline]
    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.raw.store(offset, value, order);
        self.mark_dirty(offset, size_of::<W>());
    }
}
