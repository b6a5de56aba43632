//! Shared memory as rust-vmm's `vm-memory` maps it.

// UNSAFETY: turns a mapped slice, which the area keeps mapped, into a resolved area.
#![expect(unsafe_code)]

extern crate std;

use core::fmt;
use core::ptr::NonNull;
use core::sync::atomic::{self, Ordering};
use std::sync::Arc;

use vm_memory::bitmap::{BS, Bitmap as _};
use vm_memory::volatile_memory::PtrGuardMut;
use vm_memory::{Bytes as _, GuestAddress, GuestMemory, Permissions};

use crate::segment::Segment;

use super::raw::is_aligned_alike;
use super::{AccessError, Area, AreaRings, AreaWalk, Load, Memory, RawArea, Smp, Store, Word};

/// A snapshot of the memory that a `vm-memory` address space maps.
///
/// `G` is any [`GuestMemory`]: a `GuestMemoryMmap`, another collection of regions, or an
/// `IommuMemory`. `GuestMemoryAtomic::memory().into_inner()` is the current snapshot.
///
/// Every area keeps the snapshot, so an area stays mapped when the address space changes. A queue
/// uses the old snapshot, also for indirect tables, until it is set up again or
/// [`remap`](crate::DeviceQueue::remap)ped. The addresses of areas are translated once: if an
/// IOMMU maps the rings to other memory, remap the queue.
///
/// If the memory has a dirty bitmap, every write to an area or by
/// [`write_bytes`](Memory::write_bytes) marks the written pages.
pub struct VmMemory<G> {
    memory: Arc<G>,
}

impl<G> VmMemory<G> {
    /// Wraps a snapshot of mapped memory.
    pub const fn new(memory: Arc<G>) -> Self {
        Self { memory }
    }
}

impl<G> Clone for VmMemory<G> {
    fn clone(&self) -> Self {
        Self { memory: self.memory.clone() }
    }
}

impl<G> fmt::Debug for VmMemory<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmMemory").finish_non_exhaustive()
    }
}

impl<G: GuestMemory + 'static> Memory for VmMemory<G> {
    type Area = VmArea<G>;

    fn area(&self, address: u64, len: usize) -> Result<VmArea<G>, AccessError> {
        let unmapped = AccessError { address, len: len as u64 };
        let keeper = self.memory.clone();
        // SAFETY: the pointer comes from an `Arc`, whose content neither moves nor changes by
        // `&mut` before the last handle on it is dropped. The area has a handle of its own and
        // drops it after all that borrows from `memory`. The lifetime `'static` stands for the
        // lifetime of that handle, and does not leave the area.
        let memory: &'static G = unsafe { &*Arc::as_ptr(&keeper) };
        let slices = memory.get_slices(GuestAddress(address), len, Permissions::ReadWrite);
        let slice = slices.and_then(|mut slices| slices.next().transpose()).ok().flatten();
        // An area that is mapped in several pieces has a shorter first slice.
        let slice = slice.filter(|slice| slice.len() == len).ok_or(unmapped)?;
        let guard = Arc::new(Mapped(slice.ptr_guard_mut()));
        let start = NonNull::new(guard.0.as_ptr()).filter(|start| is_aligned_alike(*start, address));
        // SAFETY: `get_slices` found `len` bytes at `start`, which are mapped as long as `guard`
        // and `keeper` live. Nothing in this program has references to these bytes: vm-memory makes
        // only volatile and atomic accesses to them, as it does to what the guest writes at the
        // same time.
        let raw = unsafe { RawArea::new(start.ok_or(unmapped)?, len, Smp) };
        Ok(VmArea { raw, len, dirty: slice.bitmap().clone(), _guard: guard, _keeper: keeper })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        let unmapped = AccessError { address, len: into.len() as u64 };
        self.memory.read_slice(into, GuestAddress(address)).map_err(|_| unmapped)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        let unmapped = AccessError { address, len: from.len() as u64 };
        self.memory.write_slice(from, GuestAddress(address)).map_err(|_| unmapped)
    }

    fn lend(&self, segment: Segment) -> Result<(), AccessError> {
        let Segment { address, len } = segment;
        let unmapped = AccessError { address, len: len.into() };
        let mapped = self.memory.check_range(GuestAddress(address), len as usize, Permissions::ReadWrite);
        mapped.then_some(()).ok_or(unmapped)
    }

    #[inline]
    fn fence(&self) {
        atomic::fence(Ordering::SeqCst);
    }
}

/// What keeps a slice mapped where pages are mapped on demand, as under Xen.
struct Mapped(PtrGuardMut);

// SAFETY: the guard is a pointer and a length, which are not used after `VmMemory::area`, and a
// mapping, which is only dropped.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

/// A resolved part of a [`VmMemory`], which the area keeps mapped.
// The fields are dropped in this order: `_keeper` last, because the others borrow from it.
pub struct VmArea<G: GuestMemory + 'static> {
    /// Points into the memory of `_keeper`, for as long as `_guard` lives.
    raw: RawArea<'static>,
    /// The length of the area in bytes.
    len: usize,
    /// The dirty bitmap of the area.
    dirty: BS<'static, G::Bitmap>,
    _guard: Arc<Mapped>,
    _keeper: Arc<G>,
}

impl<G: GuestMemory> Clone for VmArea<G> {
    fn clone(&self) -> Self {
        let Self { raw, len, dirty, _guard, _keeper } = self;
        Self {
            raw: raw.clone(),
            len: *len,
            dirty: dirty.clone(),
            _guard: _guard.clone(),
            _keeper: _keeper.clone(),
        }
    }
}

impl<G: GuestMemory> VmArea<G> {
    #[inline]
    fn mark_dirty(&self, offset: usize, len: usize) {
        // A write outside the area has no effect, and the bitmap does not check offsets.
        if offset < self.len {
            self.dirty.mark_dirty(offset, len);
        }
    }
}

impl<G: GuestMemory> fmt::Debug for VmArea<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmArea").field("raw", &self.raw).finish_non_exhaustive()
    }
}

impl<G: GuestMemory> Area for VmArea<G> {
    type Rings = AreaRings<Self>;
    type Walk = AreaWalk<Self>;

    fn rings(areas: [&Self; 3], size: u16) -> Self::Rings {
        AreaRings::new(areas, size)
    }

    fn walk(&self, size: u16, slot: u16) -> Self::Walk {
        AreaWalk::new(self, size, slot)
    }

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
