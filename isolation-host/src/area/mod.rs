//! The isolated area: the only memory that the device gets.
//!
//! The area is one sealed memfd. Each connection to a device has a new area, so that an earlier
//! device has no access to the data of a later one. Each queue has a fixed [`Share`], so that no
//! queue can starve another:
//!
//! ```text
//! BASE                                      BASE + share_size()
//! ├──────────────── share 0 ────────────────┼──────────────── share 1 ─ …
//! ┌─────────────────────┬────────┬──────────┐
//! │ descriptors, driver │ device │ blocks   │   the device area and the blocks begin at a page
//! └─────────────────────┴────────┴──────────┘
//! ```

pub mod buddy;
pub mod policy;
pub mod pool;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ring_core::{Areas, Features, QueueSize, Setup, packed, split};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use thiserror::Error;

use crate::mmap::{MapError, Window};
use crate::protocol::payload::MemoryRegion;
use buddy::{Buddy, MAX_BLOCK};

/// The device's address of the first byte of the area, as guest address and as front-end address.
///
/// No process maps the area at this address.
const BASE: u64 = 1 << 32;
/// The alignment that keeps the memory that the driver writes and the memory that the device writes
/// on separate pages.
const PAGE: u64 = 4096;
/// The smallest number of bytes of blocks that a queue needs: one block of the largest size.
const MIN_BLOCKS: u64 = MAX_BLOCK as u64;
/// The largest number of bytes of blocks that a queue can use: offsets of blocks have 32 bits.
const MAX_BLOCKS: u64 = 1 << 31;

/// The isolated area.
#[derive(Debug)]
pub struct Area {
    file: OwnedFd,
    window: Window,
    queues: u64,
}

/// The isolated area cannot be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AreaError {
    /// The memory cannot be allocated.
    #[error("cannot allocate an isolated area of {size} bytes")]
    Allocate {
        /// The size of the area in bytes.
        size: u64,
        /// The cause.
        source: io::Error,
    },
    /// The memory cannot be mapped.
    #[error("cannot map the isolated area")]
    Map(#[from] MapError),
}

/// A queue cannot have a share of the isolated area.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShareError {
    /// The area was made for fewer queues.
    #[error("queue {queue} does not exist; the device has {queues}")]
    NoSuchQueue {
        /// The queue's index.
        queue: usize,
        /// The number of queues.
        queues: u64,
    },
    /// The ring format does not allow the size.
    #[error(transparent)]
    Size(#[from] ring_core::index::QueueSizeError),
    /// The area is too small for this number of queues.
    #[error(
        "{share} bytes of the isolated area are too few for a queue of {size} descriptors; \
         give a larger --area-size"
    )]
    TooSmall {
        /// A queue's share in bytes.
        share: u64,
        /// The queue's size.
        size: u16,
    },
    /// The system does not take back the memory that an earlier run of the queue has used.
    #[error("cannot zero the queue's share of the isolated area")]
    Discard(#[source] io::Error),
}

impl Area {
    /// Makes an area of `size` bytes for `queues` queues.
    ///
    /// # Errors
    ///
    /// [`AreaError`] if the memory cannot be allocated or mapped.
    pub fn new(size: u64, queues: u16) -> Result<Self, AreaError> {
        let file =
            sealed_file("isolated-area", size).map_err(|source| AreaError::Allocate { size, source })?;
        let window = Window::map(&file, 0, size, BASE)?;
        Ok(Self { file, window, queues: queues.max(1).into() })
    }

    /// Returns the area's memory, under the device's addresses.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// Returns the memory region to share with the device.
    #[must_use]
    pub const fn region(&self) -> MemoryRegion {
        MemoryRegion { guest_address: BASE, size: self.window.size(), user_address: BASE, offset: 0 }
    }

    /// Makes a dirty log for the area. Returns the log and its size.
    ///
    /// # Errors
    ///
    /// Fails if the memory cannot be allocated.
    pub fn log(&self) -> io::Result<(OwnedFd, u64)> {
        let size = (BASE + self.window.size()).div_ceil(PAGE * 8).next_multiple_of(PAGE);
        Ok((sealed_file("isolated-log", size)?, size))
    }

    /// Zeroes the area. No queue may be running.
    ///
    /// # Errors
    ///
    /// Fails if the system does not take the memory back.
    pub fn clear(&self) -> io::Result<()> {
        self.window.discard(BASE, self.window.size())
    }

    /// Returns the size of each queue's share in bytes.
    #[must_use]
    pub const fn share_size(&self) -> u64 {
        share_size(self.window.size(), self.queues)
    }

    /// Returns the zeroed share of one queue, with a ring of `size` descriptors at its start.
    ///
    /// # Errors
    ///
    /// [`ShareError`] if there is no such queue, or the share is too small.
    pub fn share(&self, queue: usize, size: u16, features: Features) -> Result<Share, ShareError> {
        let no_queue = ShareError::NoSuchQueue { queue, queues: self.queues };
        let index = u64::try_from(queue).ok().filter(|index| *index < self.queues).ok_or(no_queue)?;
        let share = self.share_size();
        let too_small = || ShareError::TooSmall { share, size };
        let layout = if features.contains(Features::RING_PACKED) {
            packed::layout(QueueSize::packed(size)?)
        } else {
            split::layout(QueueSize::split(size)?)
        };
        let start = BASE + index * share;
        let driver = start + layout.descriptor.size.next_multiple_of(layout.driver.align) as u64;
        let mut device = (driver + layout.driver.size as u64).next_multiple_of(PAGE);
        if layout.device.size as u64 > PAGE {
            // The elements of a split queue's used ring begin four bytes into the ring. No element
            // may lie on two pages, because some devices behind a virtual IOMMU translate only the
            // address of the first byte.
            device += 4;
        }
        let blocks = (device + layout.device.size as u64).next_multiple_of(PAGE);
        let left = (start + share).checked_sub(blocks).filter(|left| *left >= MIN_BLOCKS);
        let left = u32::try_from(left.ok_or_else(too_small)?.min(MAX_BLOCKS)).map_err(|_| too_small())?;
        // A queue that was stopped may have left bytes of requests.
        self.window.discard(start, share).map_err(ShareError::Discard)?;
        Ok(Share {
            setup: Setup::new(size, features, Areas { descriptor: start, driver, device }),
            blocks,
            buddy: Buddy::new(left),
        })
    }
}

impl AsFd for Area {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Returns the size of each queue's share of an area of `size` bytes. `queues` is at least 1.
#[must_use]
pub const fn share_size(size: u64, queues: u64) -> u64 {
    size / queues / PAGE * PAGE
}

/// Makes shared memory of a fixed size.
///
/// A device that could shrink the memory could crash this process.
fn sealed_file(name: &str, size: u64) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, size)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

/// One queue's part of the isolated area.
#[derive(Debug)]
pub struct Share {
    /// The ring, under the device's addresses.
    pub setup: Setup,
    /// The address of the first block.
    pub blocks: u64,
    /// The allocator of the blocks. All blocks are zero.
    pub buddy: Buddy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_can_neither_resize_nor_unseal_the_area() {
        let area = Area::new(4 << 20, 1).unwrap();
        for size in [0, 1 << 20, 8 << 20] {
            assert_eq!(ftruncate(&area, size), Err(rustix::io::Errno::PERM));
        }
        assert_eq!(fcntl_add_seals(&area, SealFlags::WRITE), Err(rustix::io::Errno::PERM));
    }

    #[test]
    fn shares_do_not_overlap_and_rings_share_no_page_with_blocks() {
        let area = Area::new(16 << 20, 4).unwrap();
        let mut end = BASE;
        for queue in 0..4 {
            for features in [Features::empty(), Features::RING_PACKED] {
                let share = area.share(queue, 256, features).unwrap();
                let Areas { descriptor, driver, device } = share.setup.areas;
                assert!(end <= descriptor && descriptor < driver);
                assert!(driver / PAGE < device / PAGE && device / PAGE < share.blocks / PAGE);
                assert!(area.window().contains(share.blocks, share.buddy.capacity()));
                if features.contains(Features::RING_PACKED) {
                    end = share.blocks + share.buddy.capacity();
                }
            }
        }
        assert!(matches!(
            area.share(4, 256, Features::empty()),
            Err(ShareError::NoSuchQueue { queue: 4, queues: 4 })
        ));
    }

    #[test]
    fn no_element_of_a_used_ring_lies_on_two_pages() {
        let area = Area::new(16 << 20, 1).unwrap();
        for size in [128, 256, 512, 1024, 32768] {
            let device = area.share(0, size, Features::empty()).unwrap().setup.areas.device;
            let element = |index: u16| device + 4 + 8 * u64::from(index);
            assert!((0..size).all(|index| element(index) / PAGE == (element(index) + 7) / PAGE), "{size}");
        }
    }

    #[test]
    fn a_share_that_is_too_small_for_a_queue_is_refused() {
        let area = Area::new(4 << 20, 4).unwrap();
        let share = area.share(0, 256, Features::empty());
        assert!(matches!(share, Err(ShareError::TooSmall { size: 256, .. })), "{share:?}");
    }
}
