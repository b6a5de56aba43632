//! Memory that both ends of a queue share.

// UNSAFETY: lends a mapping to ring-core as a pointer, and to the stubs as atomics.
#![expect(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use ring_core::memory::{Memory as _, RawMemory, VmMemory};
use ring_core::{Areas, Features, Setup};
use vm_memory::mmap::MmapRegion;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};

use crate::{QUEUE_SIZE, Request};

/// A handle on such memory, as virtual machine monitors have it.
pub type Mapped = Arc<GuestMemoryMmap>;

/// A zeroed mapping for one queue, its tables and its buffers. It is never unmapped.
///
/// Its addresses are the ones that the process itself uses, so that contenders which translate addresses and
/// those which do not mean the same by them.
#[derive(Debug)]
pub struct Arena {
    mapped: Mapped,
    start: NonNull<u8>,
}

const BYTES: usize = 0x2_0000;
const DRIVER_AREA: u64 = 0x4000;
const DEVICE_AREA: u64 = 0x6000;
const TABLES: u64 = 0x8000;
const BUFFERS: u64 = 0x1_0000;

impl Arena {
    /// Maps an arena.
    ///
    /// # Panics
    ///
    /// If there is no memory to be had.
    #[must_use]
    pub fn new() -> Self {
        let region = MmapRegion::new(BYTES).expect("memory for a queue can be mapped");
        let start = NonNull::new(region.as_ptr()).expect("a mapping is not at address 0");
        let address = GuestAddress(start.expose_provenance().get() as u64);
        let region = GuestRegionMmap::new(region, address).expect("the range does not overflow");
        let mapped = GuestMemoryMmap::from_regions(vec![region]).expect("a single region overlaps nothing");
        let mapped = Arc::new(mapped);
        // Whoever has a pointer into the mapping may keep it.
        std::mem::forget(mapped.clone());
        Self { mapped, start }
    }

    /// The arena as a plain window.
    #[must_use]
    pub fn raw(&self) -> RawMemory<'static> {
        // SAFETY: `new` leaked a handle on the mapping, so it stays; vm-memory accesses it volatilely.
        unsafe { RawMemory::new(self.start, self.address(), BYTES) }
    }

    /// The arena as ring-core sees guest memory.
    #[must_use]
    pub fn vm(&self) -> VmMemory<Mapped> {
        VmMemory::new(self.mapped.clone())
    }

    /// The arena's bytes from `address` on, as words that may change at any time.
    ///
    /// # Panics
    ///
    /// If they are not in the arena, or not aligned.
    #[must_use]
    pub fn view<T: Words>(&self, address: u64) -> &'static T {
        let offset = address.checked_sub(self.address()).and_then(|offset| usize::try_from(offset).ok());
        let end = offset.and_then(|offset| offset.checked_add(size_of::<T>()));
        assert!(end.is_some_and(|end| end <= BYTES), "the view leaves the arena");
        let words: NonNull<T> = pointer(address).cast();
        assert!(words.is_aligned());
        // SAFETY: the bytes are in the mapping, which is never unmapped, and aligned; `Words` are atomics, for
        // which any bytes are good and which others may change.
        unsafe { words.as_ref() }
    }

    /// Writes the table of a request. Returns its length in bytes.
    ///
    /// # Panics
    ///
    /// If there is no room for it.
    pub fn write_table(&self, request: &Request, descriptors: &[[u64; 2]]) -> u64 {
        let bytes: Vec<u8> = descriptors.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        self.raw().write_bytes(request.table.address, &bytes).expect("the arena has room for tables");
        bytes.len() as u64
    }

    /// The arena as guest memory.
    #[must_use]
    pub const fn mapped(&self) -> &Mapped {
        &self.mapped
    }

    /// A queue in this arena, with event indices.
    #[must_use]
    pub fn setup(&self, format: Features) -> Setup {
        Setup::new(
            QUEUE_SIZE,
            Features::VERSION_1 | Features::EVENT_IDX | Features::INDIRECT_DESC | format,
            Areas {
                descriptor: self.address(),
                driver: self.address() + DRIVER_AREA,
                device: self.address() + DEVICE_AREA,
            },
        )
    }

    /// Where the requests' tables are.
    #[must_use]
    pub fn tables(&self) -> u64 {
        self.address() + TABLES
    }

    /// Where the requests' buffers are.
    #[must_use]
    pub fn buffers(&self) -> u64 {
        self.address() + BUFFERS
    }

    fn address(&self) -> u64 {
        self.start.addr().get() as u64
    }
}

/// The pointer to an address in an arena.
///
/// # Panics
///
/// If it is none.
#[inline]
#[must_use]
pub fn pointer(address: u64) -> NonNull<u8> {
    let address = usize::try_from(address).expect("arenas have the addresses of this process");
    NonNull::new(ptr::with_exposed_provenance_mut(address)).expect("no arena is at address 0")
}

/// Atomics and nothing else.
///
/// # Safety
///
/// The type has no padding, any bytes make it up, and all of it can be changed through a shared reference.
pub unsafe trait Words {}

// SAFETY: an atomic.
unsafe impl Words for AtomicU16 {}
// SAFETY: an atomic.
unsafe impl Words for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Words for AtomicU64 {}
// SAFETY: nothing but what is `Words`, without gaps.
unsafe impl<T: Words, const N: usize> Words for [T; N] {}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}
