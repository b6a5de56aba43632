//! A mapped range of a file, unmapped when it is dropped.

// UNSAFETY: unmaps what `Window::map` has mapped.
#![expect(unsafe_code)]

use std::ptr::NonNull;

use rustix::mm::munmap;

/// A mapped range of a file.
pub(super) struct Mapping {
    pub(super) start: NonNull<u8>,
    /// A multiple of the file's page size.
    pub(super) len: usize,
}

// SAFETY: this process accesses the bytes of a mapping only with atomics and opaque copies, which
// are defined whichever thread or process accesses them at the same time.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are those of the `mmap` in `Window::map`. Windows and areas
        // keep the mapping alive, so no window or area is left that could access the mapping.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}
