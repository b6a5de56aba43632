//! A mapping of memory that two processes share.
//!
//! The other process can change the memory at any time. So this process accesses words atomically,
//! copies bytes out before it looks at them, and never reads back what it has written.

// UNSAFETY: lends a part of the mapping as a slice, into which guest memory is copied directly.
#![expect(unsafe_code)]

use std::fs::File;
use std::io;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use vm_memory::{FileOffset, MmapRegion, VolatileMemory as _};

/// Memory of a file, mapped for reading and writing.
#[derive(Debug)]
pub(crate) struct Mapping(MmapRegion<()>);

impl Mapping {
    /// Maps the first `bytes` bytes of `file`, which must not shrink while it is mapped.
    pub(crate) fn new(file: Arc<File>, bytes: usize) -> io::Result<Self> {
        let start = FileOffset::from_arc(file, 0);
        MmapRegion::from_file(start, bytes).map(Self).map_err(io::Error::other)
    }

    /// Returns the word with number `index`.
    ///
    /// # Panics
    ///
    /// Panics if the word is not in the mapping.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        self.0.get_atomic_ref(index * size_of::<u64>()).expect("callers pass words of the header")
    }

    /// Copies the bytes at `at` to `to`. Bytes outside the mapping are not copied.
    pub(crate) fn copy_out(&self, at: usize, to: &mut [u8]) {
        if let Ok(part) = self.0.get_slice(at, to.len()) {
            part.copy_to(to);
        }
    }

    /// Copies `from` to the bytes at `at`. Bytes outside the mapping are not copied.
    pub(crate) fn copy_in(&mut self, at: usize, from: &[u8]) {
        if let Ok(part) = self.0.get_slice(at, from.len()) {
            part.copy_from(from);
        }
    }

    /// Lets `write` write to the `bytes` bytes at `at`, and returns its result. `write` must not
    /// depend on what it reads there. Returns false for bytes outside the mapping.
    pub(crate) fn fill(&mut self, at: usize, bytes: usize, write: impl FnOnce(&mut [u8]) -> bool) -> bool {
        let Ok(part) = self.0.get_slice(at, bytes) else { return false };
        let start = part.ptr_guard_mut();
        // SAFETY: `get_slice` has checked that the bytes are in the mapping, which outlives the
        // slice, and all values are valid bytes. `&mut self` is the only access of this process to
        // the bytes, since the words that it shares are in the header, before the data. The other
        // process may read and write the bytes at any time. That changes only their values, on
        // which nothing in this process depends: `write` only writes the bytes.
        let slice = unsafe { slice::from_raw_parts_mut(start.as_ptr(), bytes) };
        write(slice)
    }
}
