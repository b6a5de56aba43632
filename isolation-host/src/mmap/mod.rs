//! Memory that is shared with another process: the guest's memory and the isolated area.
//!
//! This is the only module with pointers, so the requests to the kernel that take pointers are here
//! as well. The module provides a [`Window`]: mapped memory under the
//! addresses that the two sides of a queue use. The memory stays mapped as long as the window or an
//! area of it exists.

// UNSAFETY: maps files that other processes write, copies between such mappings, and makes the
// requests of vDPA devices.
#![expect(unsafe_code)]

mod copy;
mod error;
#[cfg(test)]
mod executable;
mod mapping;
pub(crate) mod vhost_call;
mod window_area;

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use copy::{copy_shared, zero_shared};
pub use error::MapError;
use mapping::Mapping;
use ring_core::Segment;
use ring_core::memory::{AccessError, Memory, RawMemory};
use rustix::fs::fstat;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap};
pub use window_area::WindowArea;

/// Mapped memory under the addresses that the two sides of a queue use.
#[derive(Clone)]
pub struct Window {
    /// Valid as long as `mapping`.
    raw: RawMemory<'static>,
    start: NonNull<u8>,
    address: u64,
    len: usize,
    mapping: Arc<Mapping>,
}

// SAFETY: the pointer is into the mapping, which is `Send` and `Sync`.
unsafe impl Send for Window {}
// SAFETY: as above.
unsafe impl Sync for Window {}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window({:#x} + {:#x})", self.address, self.len)
    }
}

impl Window {
    /// Maps `size` bytes of `file` at `offset` under `address`.
    ///
    /// Nothing needs to be aligned to pages.
    ///
    /// # Errors
    ///
    /// [`MapError`] if a byte of the range is not in the file, or the system refuses.
    pub fn map(file: impl AsFd, offset: u64, size: u64, address: u64) -> Result<Self, MapError> {
        let range = || MapError::Range { offset, size };
        let status = fstat(&file).map_err(io::Error::from)?;
        let file_size = u64::try_from(status.st_size).unwrap_or(0);
        let end = offset.checked_add(size).filter(|_| size > 0).ok_or_else(range)?;
        address.checked_add(size - 1).ok_or_else(range)?;
        if end > file_size {
            return Err(MapError::PastEnd { offset, size, file: file_size });
        }
        // For a file in huge pages, the block size is the size of a huge page.
        let page = u64::try_from(status.st_blksize).ok().filter(|size| size.is_power_of_two());
        let page = page.unwrap_or(0).max(rustix::param::page_size() as u64);
        let before = offset % page;
        let (inside, whole) = (before, (before + size).checked_next_multiple_of(page).ok_or_else(range)?);
        let len = usize::try_from(whole).map_err(|_| range())?;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address, so no other mapping is replaced.
        let base = unsafe { mmap(ptr::null_mut(), len, protection, MapFlags::SHARED, file, offset - before) };
        let base = NonNull::new(base.map_err(io::Error::from)?.cast::<u8>()).ok_or_else(range)?;
        let mapping = Arc::new(Mapping { start: base, len });
        // `inside + size` is at most `whole`, which fits a `usize`.
        let (inside, len) = (usize::try_from(inside).unwrap_or(0), usize::try_from(size).unwrap_or(0));
        // SAFETY: the sum stays within the mapping.
        let start = unsafe { base.add(inside) };
        // SAFETY: the `len` bytes at `start` are in `mapping`, which lives as long as the window
        // and all its areas. All accesses in this process are `RawMemory`'s atomics and this
        // module's opaque copies.
        let raw = unsafe { RawMemory::new(start, address, len) };
        Ok(Self { raw, start, address, len, mapping })
    }

    /// Returns the first address.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Returns the size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.len as u64
    }

    /// Returns the address of the first byte in this process, for requests to the kernel.
    #[must_use]
    pub fn user_address(&self) -> u64 {
        self.start.addr().get() as u64
    }

    /// Returns whether all `len` bytes at `address` are in the window.
    #[must_use]
    pub fn contains(&self, address: u64, len: u64) -> bool {
        self.resolve(address, len).is_ok()
    }

    /// Returns a pointer to the `len` bytes at `address`, if all of them are in the window.
    fn resolve(&self, address: u64, len: u64) -> Result<*mut u8, AccessError> {
        let unmapped = AccessError { address, len };
        let offset = address.checked_sub(self.address).ok_or(unmapped)?;
        let end = offset.checked_add(len).ok_or(unmapped)?;
        if end > self.len as u64 {
            return Err(unmapped);
        }
        // The offset is at most the length of the mapping, which fits a `usize`.
        Ok(self.start.as_ptr().wrapping_add(usize::try_from(offset).unwrap_or(0)))
    }

    /// Copies `len` bytes from address `from` in this window to address `to` in another one.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if a range is not in its window; nothing has been copied.
    pub fn copy(&self, from: u64, target: &Self, to: u64, len: u32) -> Result<(), AccessError> {
        let from = self.resolve(from, len.into())?;
        let to = target.resolve(to, len.into())?;
        // SAFETY: both ranges lie in windows, whose mappings are alive as the windows are.
        unsafe { copy_shared(from, to, len as usize) };
        Ok(())
    }

    /// Prefetches the bytes at `address`, which will soon be copied.
    #[inline]
    pub fn prefetch(&self, address: u64) {
        if let Ok(start) = self.resolve(address, 1) {
            copy::prefetch(start);
        }
    }

    /// Fills `len` bytes at `address` with zeros.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the range is not in the window; nothing has been written.
    pub fn zero(&self, address: u64, len: u32) -> Result<(), AccessError> {
        let start = self.resolve(address, len.into())?;
        // SAFETY: the range lies in this window, whose mapping is alive as the window is.
        unsafe { zero_shared(start, len as usize) };
        Ok(())
    }

    /// Returns the memory of the whole pages in `len` bytes at `address` to the system. From then
    /// on, the pages are zero in every process that maps the file.
    ///
    /// # Errors
    ///
    /// Fails if the range is not in the window, or the file is not in memory.
    pub fn discard(&self, address: u64, len: u64) -> io::Result<()> {
        let page = rustix::param::page_size() as u64;
        let start = self.resolve(address, len).map_err(io::Error::other)?;
        let before = (start as u64).next_multiple_of(page) - start as u64;
        let Some(len) = len.checked_sub(before).map(|len| len / page * page) else { return Ok(()) };
        let (before, len) = (usize::try_from(before).unwrap_or(0), usize::try_from(len).unwrap_or(0));
        let start = start.wrapping_add(before);
        // SAFETY: the pages lie in this window, whose mapping is alive as the window is. They stay
        // mapped, and read as zeros.
        unsafe { madvise(start.cast(), len, Advice::LinuxRemove) }.map_err(io::Error::from)
    }

    /// Sets bits of the byte at `address` atomically.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the byte is not in the window.
    pub fn set_bits(&self, address: u64, bits: u8) -> Result<(), AccessError> {
        let byte = self.resolve(address, 1)?;
        // SAFETY: the byte lies in this window, whose mapping is alive as the window is; bytes are
        // aligned.
        let byte = unsafe { AtomicU8::from_ptr(byte) };
        // Release: a process that reads the bit with Acquire sees what was written before.
        byte.fetch_or(bits, Ordering::Release);
        Ok(())
    }
}

impl Memory for Window {
    type Area = WindowArea;

    fn area(&self, address: u64, len: usize) -> Result<WindowArea, AccessError> {
        let raw = self.raw.area(address, len)?;
        Ok(WindowArea { raw, _mapping: Arc::clone(&self.mapping) })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.raw.read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.raw.write_bytes(address, from)
    }

    #[inline]
    fn lend(&self, _: Segment) -> Result<(), AccessError> {
        // The device is another process, which resolves segments in its own mapping of the window.
        Ok(())
    }

    #[inline]
    fn fence(&self) {
        self.raw.fence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring_core::memory::Area as _;
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
    use std::os::fd::OwnedFd;

    fn file(size: u64) -> OwnedFd {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, size).unwrap();
        file
    }

    #[test]
    fn windows_of_one_file_share_bytes_at_any_offset_and_size() {
        let file = file(0x4b10);
        let whole = Window::map(&file, 0, 0x4b10, 0).unwrap();
        let odd = Window::map(&file, 0x1234, 0x38dc, 0x10_0000).unwrap();
        whole.write_bytes(0x4b0f, b"!").unwrap();
        whole.write_bytes(0x1234, b"odd").unwrap();
        let (mut first, mut last) = ([0; 3], [0; 1]);
        odd.read_bytes(0x10_0000, &mut first).unwrap();
        odd.read_bytes(0x10_0000 + 0x38db, &mut last).unwrap();
        assert_eq!((&first, &last), (b"odd", b"!"));
        assert!(odd.read_bytes(0x10_0000 + 0x38dc, &mut last).is_err());
    }

    #[test]
    fn a_range_that_is_not_in_the_file_is_refused() {
        let file = file(0x2000);
        assert!(matches!(Window::map(&file, 0x1000, 0x1001, 0), Err(MapError::PastEnd { file: 0x2000, .. })));
        assert!(matches!(Window::map(&file, 0, 0, 0), Err(MapError::Range { .. })));
        assert!(matches!(Window::map(&file, u64::MAX, 2, 0), Err(MapError::Range { .. })));
        assert!(matches!(Window::map(&file, 0, 0x1000, u64::MAX - 0xffe), Err(MapError::Range { .. })));
    }

    #[test]
    fn copies_of_every_length_and_alignment_copy_exactly() {
        let file = file(0x1000);
        let window = Window::map(&file, 0, 0x1000, 0).unwrap();
        let bytes: Vec<u8> = (0..600).map(|n| u8::try_from(n % 251).unwrap() | 1).collect();
        for len in (0..40).chain([63, 64, 127, 128, 129, 500]) {
            for shift in 0..9 {
                window.write_bytes(0, &[0; 0x1000]).unwrap();
                window.write_bytes(shift, bytes.get(..len).unwrap()).unwrap();
                window.copy(shift, &window, 0x800 + 3 * shift, u32::try_from(len).unwrap()).unwrap();
                let mut copied = [0; 640];
                window.read_bytes(0x800 + 3 * shift, &mut copied).unwrap();
                assert_eq!(copied[..len], bytes[..len], "{len} {shift}");
                assert_eq!(copied[len..], [0; 640][len..], "{len} {shift}");
                window.zero(0x800 + 3 * shift, u32::try_from(len).unwrap()).unwrap();
                window.read_bytes(0x800, &mut copied).unwrap();
                assert_eq!(copied, [0; 640], "{len} {shift}");
            }
        }
    }

    #[test]
    fn an_area_stays_mapped_after_its_window_is_dropped() {
        let file = file(0x1000);
        let window = Window::map(&file, 0, 0x1000, 0x5000).unwrap();
        let area = window.area(0x5008, 8).unwrap();
        drop(window);
        area.write(0, 7u64);
        assert_eq!(area.read::<u64>(0), 7);
    }
}
