//! The memory that both ends of a queue share.

// UNSAFETY: lends a mapping to ring-core as a pointer and to the stubs as atomics.
#![expect(unsafe_code)]

use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use ring_core::memory::{Dma, Memory as _, RawMemory, VmMemory};
use ring_core::{Areas, Features, Segment, Setup};
use vm_memory::mmap::MmapRegion;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap};

/// The number of descriptors of a queue, unless the case says otherwise.
pub const QUEUE_SIZE: u16 = 256;

/// The number of descriptors of the largest queue.
pub const LARGEST_QUEUE: u16 = 1024;

/// The arena as guest memory.
pub type Mapped = Arc<GuestMemoryMmap>;

/// A zeroed mapping for one queue with its tables and buffers. The mapping is never unmapped.
///
/// Guest addresses equal the addresses of this process, because some implementations do not
/// translate them.
#[derive(Debug)]
pub struct Arena {
    mapped: Mapped,
    start: NonNull<u8>,
}

const BYTES: usize = 0x10_0000;
const DRIVER_AREA: u64 = 0x4000;
const DEVICE_AREA: u64 = 0x6000;
const TABLES: u64 = 0x1_0000;
const BUFFERS: u64 = 0x4_0000;

impl Arena {
    /// Maps an arena.
    ///
    /// # Panics
    ///
    /// If memory cannot be mapped.
    #[must_use]
    pub fn new() -> Self {
        let region = MmapRegion::new(BYTES).expect("memory for a queue can be mapped");
        let start = NonNull::new(region.as_ptr()).expect("a mapping is not at address 0");
        let address = GuestAddress(start.expose_provenance().get() as u64);
        let region = GuestRegionMmap::new(region, address).expect("the range does not overflow");
        let mapped = GuestMemoryMmap::from_regions(vec![region]).expect("a single region overlaps nothing");
        let mapped = Arc::new(mapped);
        // Pointers into the mapping have no lifetime, so the mapping has to stay.
        std::mem::forget(mapped.clone());
        Self { mapped, start }
    }

    /// Returns the arena as plain memory. Segments are not checked, because the other crates do not
    /// check segments either.
    #[must_use]
    pub fn raw(&self) -> Dma<RawMemory<'static>> {
        // SAFETY: `new` has leaked a handle, so the mapping stays. vm-memory accesses the mapping
        // as volatile.
        let window = unsafe { RawMemory::new(self.start, self.address(), BYTES) };
        // SAFETY: the devices of a measurement do not access the segments.
        unsafe { Dma::new(window) }
    }

    /// Returns the arena as memory that ring-core accesses through vm-memory.
    #[must_use]
    pub fn vm(&self) -> VmMemory<GuestMemoryMmap> {
        VmMemory::new(self.mapped.clone())
    }

    /// Returns a view of the memory at `address` as atomic words.
    ///
    /// # Panics
    ///
    /// If the bytes are outside the arena or not aligned.
    #[must_use]
    pub fn view<T: Words>(&self, address: u64) -> &'static T {
        let offset = address.checked_sub(self.address()).and_then(|offset| usize::try_from(offset).ok());
        let end = offset.and_then(|offset| offset.checked_add(size_of::<T>()));
        assert!(end.is_some_and(|end| end <= BYTES), "the view leaves the arena");
        let words: NonNull<T> = pointer(address).cast();
        assert!(words.is_aligned());
        // SAFETY: the bytes are aligned and in the mapping, which is never unmapped. `Words` are
        // atomics, for which any bytes are valid and which other threads may change.
        unsafe { words.as_ref() }
    }

    /// Writes an indirect table to `table`. Returns the length of the table in bytes.
    ///
    /// # Panics
    ///
    /// If the table does not fit the arena.
    pub fn write_table(&self, table: Segment, descriptors: &[[u64; 2]]) -> u64 {
        let bytes: Vec<u8> = descriptors.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        self.raw().write_bytes(table.address, &bytes).expect("the arena has room for tables");
        bytes.len() as u64
    }

    /// Returns the arena as guest memory of vm-memory.
    #[must_use]
    pub const fn mapped(&self) -> &Mapped {
        &self.mapped
    }

    /// Returns the layout of a queue of this size and format in the arena, with event indices.
    #[must_use]
    pub fn setup(&self, size: u16, format: Features) -> Setup {
        Setup::new(
            size,
            Features::VERSION_1 | Features::EVENT_IDX | Features::INDIRECT_DESC | format,
            Areas {
                descriptor: self.address(),
                driver: self.address() + DRIVER_AREA,
                device: self.address() + DEVICE_AREA,
            },
        )
    }

    /// Returns the address of the first indirect table.
    #[must_use]
    pub fn tables(&self) -> u64 {
        self.address() + TABLES
    }

    /// Returns the address of the first buffer.
    #[must_use]
    pub fn buffers(&self) -> u64 {
        self.address() + BUFFERS
    }

    fn address(&self) -> u64 {
        self.start.addr().get() as u64
    }
}

/// Returns the pointer to an address in an arena.
///
/// # Panics
///
/// If the address is 0.
#[inline]
#[must_use]
pub fn pointer(address: u64) -> NonNull<u8> {
    let address = usize::try_from(address).expect("arenas have the addresses of this process");
    NonNull::new(ptr::with_exposed_provenance_mut(address)).expect("no arena is at address 0")
}

/// An atomic, or an array of atomics.
///
/// # Safety
///
/// The type has no padding, every bit pattern is valid, and all bytes may change behind a shared
/// reference.
pub unsafe trait Words {}

// SAFETY: an atomic.
unsafe impl Words for AtomicU16 {}
// SAFETY: an atomic.
unsafe impl Words for AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Words for AtomicU64 {}
// SAFETY: an array has no gaps between its elements, and the elements are `Words`.
unsafe impl<T: Words, const N: usize> Words for [T; N] {}

impl Default for Arena {
    fn default() -> Self {
        Self::new()
    }
}
