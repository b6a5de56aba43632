//! The table of memory regions.

use thiserror::Error;

use crate::mmap::Window;

/// A memory region that the VMM shares.
#[derive(Clone, Debug)]
pub(super) struct Region {
    /// The mapped region under its guest address.
    pub(super) window: Window,
    /// The region's address in the VMM's address space.
    pub(super) user_address: u64,
}

/// A region that cannot be added or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegionError {
    /// The region overlaps another one.
    #[error("the region of {size} bytes at {address:#x} overlaps another")]
    Overlap {
        /// The region's guest address.
        address: u64,
        /// The region's size in bytes.
        size: u64,
    },
    /// There is no such region.
    #[error("there is no region of {size} bytes at {address:#x}")]
    Unknown {
        /// The region's guest address.
        address: u64,
        /// The region's size in bytes.
        size: u64,
    },
}

/// Inserts a region into a table that is sorted by guest address.
pub(super) fn insert(table: &mut Vec<Region>, region: Region) -> Result<(), RegionError> {
    let (address, size) = (region.window.address(), region.window.size());
    let index = table.partition_point(|other| other.window.address() < address);
    // A window does not extend past the last address, so the sum does not overflow.
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
