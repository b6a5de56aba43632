//! The guest's memory: the regions that the VMM shares, and the log of dirty pages.

mod dirty_log;
mod guest_area;
mod region;
mod view;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use dirty_log::DirtyLog;
pub use guest_area::GuestArea;
use parking_lot::RwLock;
pub use region::RegionError;
use region::{Region, insert};
use ring_core::Segment;
use ring_core::memory::{AccessError, Memory};
pub use view::View;

use crate::mmap::Window;
use crate::protocol::payload::MemoryRegion;

/// The guest's memory. Clones share the same regions.
///
/// Regions can be added and removed while queues run. Each copy of data looks up its region in a
/// short-lived [`View`], and a ring keeps its own region mapped. While there is a dirty log, every
/// write is logged.
#[derive(Clone, Default)]
pub struct GuestMemory {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Sorted by guest address, without overlaps.
    regions: RwLock<Vec<Region>>,
    log: DirtyLog,
}

impl GuestMemory {
    /// Replaces all regions. Each is a window under its guest address, with its address in the VMM.
    ///
    /// # Errors
    ///
    /// [`RegionError::Overlap`] if two regions overlap; the memory is then unchanged.
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
    /// [`RegionError::Overlap`] if the region overlaps another one.
    pub fn add(&self, window: Window, user_address: u64) -> Result<(), RegionError> {
        insert(&mut self.inner.regions.write(), Region { window, user_address })
    }

    /// Removes a region.
    ///
    /// # Errors
    ///
    /// [`RegionError::Unknown`] if there is no region with this size and these addresses.
    pub fn remove(&self, region: &MemoryRegion) -> Result<(), RegionError> {
        let &MemoryRegion { guest_address: address, size, user_address, .. } = region;
        let mut regions = self.inner.regions.write();
        let position = regions.iter().position(|it| {
            (it.window.address(), it.window.size(), it.user_address) == (address, size, user_address)
        });
        regions.remove(position.ok_or(RegionError::Unknown { address, size })?);
        Ok(())
    }

    /// Converts an address in the VMM to a guest address.
    #[must_use]
    pub fn guest_address(&self, user_address: u64) -> Option<u64> {
        let regions = self.inner.regions.read();
        regions.iter().find_map(|region| {
            let offset = user_address.checked_sub(region.user_address)?;
            (offset < region.window.size()).then(|| region.window.address() + offset)
        })
    }

    /// Sets the bitmap in which every write is logged, or disables the log.
    ///
    /// Other threads are certain to use the new bitmap once they have synchronised with this
    /// thread.
    pub fn log_to(&self, bitmap: Option<Window>) {
        self.inner.log.set(bitmap);
    }

    /// Returns whether writes are logged.
    #[must_use]
    pub fn is_logging(&self) -> bool {
        self.inner.log.is_on()
    }

    /// Locks the regions for many copies in a row.
    ///
    /// A thread that holds a view must not call another method of the memory: if a second thread
    /// waits to change the regions, the call deadlocks.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::new(self.inner.regions.read(), &self.inner.log)
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
        self.view().read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.view().write_bytes(address, from)
    }

    fn lend(&self, Segment { address, len }: Segment) -> Result<(), AccessError> {
        let unmapped = AccessError { address, len: len.into() };
        let regions = self.inner.regions.read();
        let mut windows = regions.iter().map(|region| &region.window);
        windows.any(|window| window.contains(address, len.into())).then_some(()).ok_or(unmapped)
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

    /// Maps fresh memory.
    fn window(address: u64, size: u64) -> Window {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, size).unwrap();
        Window::map(file, 0, size, address).unwrap()
    }

    /// Makes two adjacent regions and a third one apart from them.
    fn memory() -> GuestMemory {
        let memory = GuestMemory::default();
        let regions =
            [(0x3000, 0x1000, 0x7000_3000), (0, 0x3000, 0x7000_0000), (0x10_0000, 0x1000, 0x9000_0000)];
        memory.replace(regions.map(|(address, size, user)| (window(address, size), user))).unwrap();
        memory
    }

    #[test]
    fn a_range_may_span_adjacent_regions_but_no_gap() {
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
    fn copies_in_both_directions_stay_inside_the_regions() {
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
    fn a_vmm_address_is_converted_to_a_guest_address() {
        let memory = memory();
        assert_eq!(memory.guest_address(0x7000_3fff), Some(0x3fff));
        assert_eq!(memory.guest_address(0x9000_0000), Some(0x10_0000));
        assert_eq!(memory.guest_address(0x9000_1000), None);
    }

    #[test]
    fn regions_do_not_overlap_and_are_removed_by_size_and_address() {
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
    fn every_write_is_logged_and_no_read() {
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
    fn a_page_is_marked_after_the_write() {
        let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, 0x1000).unwrap();
        let (memory, area) = (GuestMemory::default(), window(1 << 32, 0x1000));
        memory.replace([(Window::map(&file, 0, 0x1000, 0).unwrap(), 0)]).unwrap();
        // The log is the first byte of the page, so each write of zeros clears an earlier mark.
        memory.log_to(Some(Window::map(&file, 0, 1, 0).unwrap()));
        let ring = memory.area(0, 0x100).unwrap();
        let writes: [&dyn Fn(); 5] = [
            &|| memory.write_bytes(0, &[0; 4]).unwrap(),
            &|| memory.view().copy_in(&area, 1 << 32, 0, 4).unwrap(),
            &|| ring.write(0, 0u32),
            &|| ring.write_pair(0, (0u32, 0u32)),
            &|| ring.store(0, 0u32, Store::Release),
        ];
        for (number, write) in writes.iter().enumerate() {
            write();
            assert_eq!(ring.read::<u32>(0).to_le_bytes(), [1, 0, 0, 0], "write {number}");
        }
    }

    #[test]
    fn a_page_beyond_the_log_is_ignored() {
        let (memory, log) = (memory(), window(0, 1));
        memory.log_to(Some(log));
        memory.write_bytes(0x10_0000, b"x").unwrap();
    }
}
