//! Copies to and from the guest's memory.

use std::fmt;

use parking_lot::RwLockReadGuard;
use ring_core::Segment;
use ring_core::memory::{AccessError, Memory as _};

use super::dirty_log::DirtyLog;
use super::region::Region;
use crate::mmap::Window;

/// A view of the guest's memory, for many copies in a row.
///
/// The regions cannot change while a view exists.
pub struct View<'m> {
    regions: RwLockReadGuard<'m, Vec<Region>>,
    log: &'m DirtyLog,
}

impl<'m> View<'m> {
    pub(super) const fn new(regions: RwLockReadGuard<'m, Vec<Region>>, log: &'m DirtyLog) -> Self {
        Self { regions, log }
    }

    /// Copies `len` bytes from guest address `from` to address `to` in another window.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if a byte is not in the guest's memory; the bytes before it have been
    /// copied.
    pub fn copy_out(&self, from: u64, target: &Window, to: u64, len: u32) -> Result<(), AccessError> {
        self.pieces(from, len.into(), |window, address, at, len| {
            window.copy(address, target, to + at, u32::try_from(len).unwrap_or(u32::MAX))
        })
    }

    /// Copies `len` bytes from address `from` in another window to guest address `to`.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if a byte is not in the guest's memory; the bytes before it have been
    /// written.
    pub fn copy_in(&self, source: &Window, from: u64, to: u64, len: u32) -> Result<(), AccessError> {
        self.pieces(to, len.into(), |window, address, at, len| {
            source.copy(from + at, window, address, u32::try_from(len).unwrap_or(u32::MAX))?;
            self.log.mark(address, len);
            Ok(())
        })
    }

    /// Reads the bytes at `address`.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if a byte is not in the guest's memory.
    pub fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.pieces(address, into.len() as u64, |window, address, at, len| {
            let part = usize::try_from(at).ok().zip(usize::try_from(at + len).ok());
            let part = part.and_then(|(start, end)| into.get_mut(start..end)).unwrap_or_default();
            window.read_bytes(address, part)
        })
    }

    /// Writes `from` to `address`.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if a byte is not in the guest's memory; the bytes before it have been
    /// written.
    pub fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.pieces(address, from.len() as u64, |window, address, at, len| {
            let part = usize::try_from(at).ok().zip(usize::try_from(at + len).ok());
            let part = part.and_then(|(start, end)| from.get(start..end)).unwrap_or_default();
            window.write_bytes(address, part)?;
            self.log.mark(address, len);
            Ok(())
        })
    }

    /// Prefetches the beginning of a segment.
    pub fn prefetch(&self, segment: &Segment) {
        let _ = self.pieces(segment.address, segment.len.min(1).into(), |window, address, _, _| {
            window.prefetch(address);
            Ok(())
        });
    }

    /// Checks that all bytes of a segment are in the guest's memory.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if a byte is not.
    pub fn check(&self, segment: &Segment) -> Result<(), AccessError> {
        self.pieces(segment.address, segment.len.into(), |_, _, _, _| Ok(()))
    }

    /// Calls `each` for every part of a range that lies in one region.
    ///
    /// The arguments of `each` are the region's window, the part's address, the part's distance
    /// from the start of the range, and the part's length.
    #[inline]
    fn pieces(
        &self,
        address: u64,
        len: u64,
        mut each: impl FnMut(&Window, u64, u64, u64) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        let unmapped = AccessError { address, len };
        address.checked_add(len).ok_or(unmapped)?;
        let mut at = 0;
        while at < len {
            let here = address + at;
            let index = self.regions.partition_point(|region| region.window.address() <= here);
            let window =
                &index.checked_sub(1).and_then(|index| self.regions.get(index)).ok_or(unmapped)?.window;
            let inside = here - window.address();
            let part = window.size().checked_sub(inside).filter(|part| *part > 0).ok_or(unmapped)?;
            let part = part.min(len - at);
            each(window, here, at, part)?;
            at += part;
        }
        Ok(())
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.regions.iter()).finish()
    }
}
