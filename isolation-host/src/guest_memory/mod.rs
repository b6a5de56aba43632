//! The guest's memory: the regions that the VMM shares, and the log of pages that were written.

mod area;
mod log;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

pub use area::GuestArea;
use log::Log;
use parking_lot::{RwLock, RwLockReadGuard};
use ring_core::Segment;
use ring_core::memory::{AccessError, Memory};
use thiserror::Error;

use crate::mmap::Window;
use crate::protocol::payload::MemoryRegion;

/// The guest's memory as it is mapped now. Clones are the same memory, whatever threads they are on.
///
/// Regions may come and go while queues run: payloads are looked up at each copy, in a [`View`] that is soon dropped, and
/// rings keep their own region mapped. Every write, to a ring or to a payload, is noted in the log while there is one.
#[derive(Clone, Default)]
pub struct GuestMemory {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Sorted by address, without overlaps.
    regions: RwLock<Vec<Region>>,
    log: Log,
}

#[derive(Clone, Debug)]
struct Region {
    /// Under guest addresses.
    window: Window,
    user_address: u64,
}

/// A region that cannot be added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RegionError {
    /// It overlaps one that is there.
    #[error("the region of {size} bytes at {address:#x} overlaps another")]
    Overlap {
        /// Its guest address.
        address: u64,
        /// Its size.
        size: u64,
    },
    /// There is none like it.
    #[error("there is no region of {size} bytes at {address:#x}")]
    Unknown {
        /// Its guest address.
        address: u64,
        /// Its size.
        size: u64,
    },
}

impl GuestMemory {
    /// Replaces all regions: pairs of a window under guest addresses and its address in the VMM.
    ///
    /// # Errors
    ///
    /// [`RegionError::Overlap`] if two of them overlap; nothing has changed then.
    pub fn replace(&self, regions: impl IntoIterator<Item = (Window, u64)>) -> Result<(), RegionError> {
        let mut table = Vec::new();
        for (window, user_address) in regions {
            insert(&mut table, Region { window, user_address })?;
        }
        *self.inner.regions.write() = table;
        Ok(())
    }

    /// Adds a region.
    ///
    /// # Errors
    ///
    /// [`RegionError::Overlap`] if it overlaps one that is there.
    pub fn add(&self, window: Window, user_address: u64) -> Result<(), RegionError> {
        insert(&mut self.inner.regions.write(), Region { window, user_address })
    }

    /// Removes a region.
    ///
    /// # Errors
    ///
    /// [`RegionError::Unknown`] if there is none at these addresses.
    pub fn remove(&self, region: &MemoryRegion) -> Result<(), RegionError> {
        let &MemoryRegion { guest_address: address, size, user_address, .. } = region;
        let mut regions = self.inner.regions.write();
        let position = regions.iter().position(|it| {
            (it.window.address(), it.window.size(), it.user_address) == (address, size, user_address)
        });
        regions.remove(position.ok_or(RegionError::Unknown { address, size })?);
        Ok(())
    }

    /// The guest address of an address in the VMM.
    #[must_use]
    pub fn guest_address(&self, user_address: u64) -> Option<u64> {
        let regions = self.inner.regions.read();
        regions.iter().find_map(|region| {
            let offset = user_address.checked_sub(region.user_address)?;
            (offset < region.window.size()).then(|| region.window.address() + offset)
        })
    }

    /// Notes every write from now on in this bitmap; or no longer. A thread that writes meanwhile may find out only
    /// when it has synchronised with this one.
    pub fn log_to(&self, bitmap: Option<Window>) {
        self.inner.log.set(bitmap);
    }

    /// Whether writes are noted.
    #[must_use]
    pub fn is_logging(&self) -> bool {
        self.inner.log.is_on()
    }

    /// The memory as it is now, for many copies at once. Meanwhile the same thread asks for nothing else here: if another
    /// one waits to change the memory, it would wait for itself.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { regions: self.inner.regions.read(), log: &self.inner.log }
    }
}

/// The guest's memory, which stays as it is while this lives: whoever changes it waits.
pub struct View<'m> {
    regions: RwLockReadGuard<'m, Vec<Region>>,
    log: &'m Log,
}

impl View<'_> {
    /// Copies `len` guest bytes at `from` to `to` in another window.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if not all of them are the guest's memory; a part has then been copied.
    pub fn copy_out(&self, from: u64, target: &Window, to: u64, len: u32) -> Result<(), AccessError> {
        self.pieces(from, len.into(), |window, address, at, len| {
            window.copy(address, target, to + at, u32::try_from(len).unwrap_or(u32::MAX))
        })
    }

    /// Copies `len` bytes at `from` in another window to the guest's memory at `to`.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if not all of it is the guest's memory; a part has then been written.
    pub fn copy_in(&self, source: &Window, from: u64, to: u64, len: u32) -> Result<(), AccessError> {
        self.pieces(to, len.into(), |window, address, at, len| {
            source.copy(from + at, window, address, u32::try_from(len).unwrap_or(u32::MAX))?;
            self.log.mark(address, len);
            Ok(())
        })
    }

    /// Writes `from` to `address`.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if not all of it is the guest's memory; a part has then been written.
    pub fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.pieces(address, from.len() as u64, |window, address, at, len| {
            let part = usize::try_from(at).ok().zip(usize::try_from(at + len).ok());
            let part = part.and_then(|(start, end)| from.get(start..end)).unwrap_or_default();
            window.write_bytes(address, part)?;
            self.log.mark(address, len);
            Ok(())
        })
    }

    /// Has the processor fetch the beginning of a segment that will soon be copied.
    pub fn prefetch(&self, segment: &Segment) {
        let _ = self.pieces(segment.address, segment.len.min(1).into(), |window, address, _, _| {
            window.prefetch(address);
            Ok(())
        });
    }

    /// Whether all bytes of a segment are the guest's memory.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if not.
    pub fn check(&self, segment: &Segment) -> Result<(), AccessError> {
        self.pieces(segment.address, segment.len.into(), |_, _, _, _| Ok(()))
    }

    /// Calls `each` for every part of a range that lies in one region: the region's window, the part's
    /// address, its distance from the start of the range, and its length.
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

fn insert(table: &mut Vec<Region>, region: Region) -> Result<(), RegionError> {
    let (address, size) = (region.window.address(), region.window.size());
    let index = table.partition_point(|other| other.window.address() < address);
    // Windows do not run past the last address.
    let ends_before =
        |first: &Region, second: u64| first.window.address() + (first.window.size() - 1) < second;
    let before = index.checked_sub(1).and_then(|index| table.get(index));
    let fits = before.is_none_or(|before| ends_before(before, address))
        && table.get(index).is_none_or(|after| ends_before(&region, after.window.address()));
    if !fits {
        return Err(RegionError::Overlap { address, size });
    }
    table.insert(index, region);
    Ok(())
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.regions.iter()).finish()
    }
}

impl fmt::Debug for GuestMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.inner.regions.read().iter()).finish()
    }
}

impl Memory for GuestMemory {
    type Area = GuestArea;

    fn area(&self, address: u64, len: usize) -> Result<GuestArea, AccessError> {
        let unmapped = AccessError { address, len: len as u64 };
        let regions = self.inner.regions.read();
        let region = regions.iter().find(|region| region.window.contains(address, len as u64));
        let area = region.ok_or(unmapped)?.window.area(address, len)?;
        Ok(GuestArea::new(area, address, self.inner.log.clone()))
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.view().pieces(address, into.len() as u64, |window, address, at, len| {
            let part = usize::try_from(at).ok().zip(usize::try_from(at + len).ok());
            let part = part.and_then(|(from, to)| into.get_mut(from..to)).unwrap_or_default();
            window.read_bytes(address, part)
        })
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.view().write_bytes(address, from)
    }

    #[inline]
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring_core::memory::{Area as _, Store};
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    /// A window on fresh memory.
    fn window(address: u64, size: u64) -> Window {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, size).unwrap();
        Window::map(file, 0, size, address).unwrap()
    }

    /// Two regions that touch, and one apart.
    fn memory() -> GuestMemory {
        let memory = GuestMemory::default();
        let regions =
            [(0x3000, 0x1000, 0x7000_3000), (0, 0x3000, 0x7000_0000), (0x10_0000, 0x1000, 0x9000_0000)];
        memory.replace(regions.map(|(address, size, user)| (window(address, size), user))).unwrap();
        memory
    }

    #[test]
    fn a_range_may_straddle_regions_that_touch_but_no_gap() {
        let memory = memory();
        memory.write_bytes(0x2ffe, b"abcd").unwrap();
        let mut read = [0; 4];
        memory.read_bytes(0x2ffe, &mut read).unwrap();
        assert_eq!(&read, b"abcd");
        assert!(memory.write_bytes(0x3ffe, b"abcd").is_err());
        assert!(memory.read_bytes(u64::MAX - 1, &mut read).is_err());
        assert!(memory.read_bytes(0x5000, &mut read).is_err());
    }

    #[test]
    fn copies_go_both_ways_and_stay_inside() {
        let (memory, area) = (memory(), window(1 << 32, 0x1000));
        memory.write_bytes(0x2ffc, b"straddle").unwrap();
        memory.view().copy_out(0x2ffc, &area, 1 << 32, 8).unwrap();
        memory.view().copy_in(&area, 1 << 32, 0x10_0ff8, 8).unwrap();
        let mut read = [0; 8];
        memory.read_bytes(0x10_0ff8, &mut read).unwrap();
        assert_eq!(&read, b"straddle");
        assert!(memory.view().copy_in(&area, 1 << 32, 0x10_0ff9, 8).is_err());
        assert!(memory.view().copy_out(0, &area, (1 << 32) + 0xff9, 8).is_err());
    }

    #[test]
    fn a_vmm_address_becomes_a_guest_address() {
        let memory = memory();
        assert_eq!(memory.guest_address(0x7000_3fff), Some(0x3fff));
        assert_eq!(memory.guest_address(0x9000_0000), Some(0x10_0000));
        assert_eq!(memory.guest_address(0x9000_1000), None);
    }

    #[test]
    fn regions_do_not_overlap_and_are_removed_by_what_they_are() {
        let memory = memory();
        let overlap = memory.add(window(0x2fff, 0x10), 0);
        assert_eq!(overlap, Err(RegionError::Overlap { address: 0x2fff, size: 0x10 }));
        let region =
            MemoryRegion { guest_address: 0x3000, size: 0x1000, user_address: 0x7000_3000, offset: 0 };
        memory.remove(&region).unwrap();
        assert_eq!(memory.remove(&region), Err(RegionError::Unknown { address: 0x3000, size: 0x1000 }));
        assert_eq!(memory.guest_address(0x7000_3fff), None);
    }

    #[test]
    fn every_write_is_logged_and_nothing_else() {
        let (memory, log, area) = (memory(), window(0, 0x40), window(1 << 32, 0x4000));
        let ring = memory.area(0x1000, 0x100).unwrap();
        memory.write_bytes(0x3000, b"unlogged").unwrap();
        memory.log_to(Some(log.clone()));
        let _ = ring.read::<u64>(0);
        ring.store(0xfe, 7u16, Store::Release);
        memory.write_bytes(0x10_0000, b"x").unwrap();
        memory.view().copy_in(&area, 1 << 32, 0x2fff, 2).unwrap();
        let mut bits = [0; 0x40];
        log.read_bytes(0, &mut bits).unwrap();
        let dirty: Vec<usize> = (0..0x200).filter(|page| bits[page / 8] & 1 << (page % 8) != 0).collect();
        assert_eq!(dirty, [1, 2, 3, 0x100]);
        memory.log_to(None);
        ring.write(0, 1u16);
    }

    #[test]
    fn a_page_beyond_the_log_is_ignored() {
        let (memory, log) = (memory(), window(0, 1));
        memory.log_to(Some(log));
        memory.write_bytes(0x10_0000, b"x").unwrap();
    }
}
