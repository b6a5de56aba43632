//! Memory that devices access: one static region, allocated from its start.

// UNSAFETY: constructs the `RawMemory` through which the rings access the region.
#![expect(unsafe_code)]

use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;

use ring_core::Segment;
use ring_core::memory::{AccessError, Memory as _, RawMemory};

use crate::error::CheckError;

const BYTES: usize = 4 << 20;

/// The region. Its type restricts the program to atomic accesses.
#[repr(align(4096))]
struct Region([AtomicU64; BYTES / 8]);

static REGION: Region = Region([const { AtomicU64::new(0) }; BYTES / 8]);

/// Returns the rings' and the devices' view of the region. Addresses are physical addresses; all
/// memory is mapped to itself.
pub(crate) fn shared() -> RawMemory<'static> {
    let start = NonNull::from(&REGION.0).cast();
    let address = start.addr().get() as u64;
    // SAFETY: the bytes are those of a static, so they stay mapped. They are atomics, so they are
    // writable, and the program accesses them only through atomics.
    unsafe { RawMemory::new(start, address, BYTES) }
}

/// Allocates the region from its start. A new pool allocates the same memory again, so a new pool
/// is made only when no device uses the region.
#[derive(Debug)]
pub(crate) struct Pool {
    memory: RawMemory<'static>,
    next: u64,
    end: u64,
}

impl Pool {
    /// Returns a pool of the whole region.
    pub(crate) fn new() -> Self {
        let memory = shared();
        let next = (&raw const REGION).addr() as u64;
        Self { memory, next, end: next + BYTES as u64 }
    }

    /// Returns the region as the rings see it.
    pub(crate) const fn memory(&self) -> &RawMemory<'static> {
        &self.memory
    }

    /// Allocates `len` zeroed bytes, aligned to `align`, which is a power of two.
    pub(crate) fn take(&mut self, len: u32, align: u32) -> Result<Segment, CheckError> {
        let address = self.next.next_multiple_of(align.into());
        let next = address + u64::from(len);
        if next > self.end {
            return Err(CheckError::Memory(AccessError { address, len: len.into() }));
        }
        self.next = next;
        let segment = Segment::new(address, len);
        fill(&self.memory, segment, 0)?;
        Ok(segment)
    }
}

/// Fills a segment with one byte.
pub(crate) fn fill(memory: &RawMemory<'_>, segment: Segment, byte: u8) -> Result<(), CheckError> {
    let chunk = [byte; 512];
    let mut left = segment.len as usize;
    let mut address = segment.address;
    while left > 0 {
        let bytes = chunk.get(..left).unwrap_or(&chunk);
        memory.write_bytes(address, bytes)?;
        left -= bytes.len();
        address += bytes.len() as u64;
    }
    Ok(())
}
