//! The isolated area: the only memory that the device gets.
//!
//! It is one sealed memfd, made anew for each connection to a device, so that what an earlier instance of the
//! device still has mapped is nobody's any more. Each queue has a fixed [`Share`] of it, so that no queue can
//! starve another one: its ring, and blocks for what the requests in flight carry.

pub mod buddy;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ring_core::{Areas, Features, QueueSize, Setup, packed, split};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use thiserror::Error;

use crate::mmap::{MapError, Window};
use crate::protocol::payload::MemoryRegion;
use buddy::{Buddy, MAX_BLOCK};

/// The address that the device is told for the area's first byte, both as the guest's and as the front-end's.
/// It means nothing in any process.
const BASE: u64 = 1 << 32;
/// What belongs to the driver and what belongs to the device does not share a page.
const PAGE: u64 = 4096;
/// The least that a queue can do with, besides its ring: a block of the largest size.
const LEAST_BLOCKS: u64 = MAX_BLOCK as u64;
/// The most that a queue can use: offsets of blocks are 32 bits.
const MOST_BLOCKS: u64 = 1 << 31;

/// The isolated area.
#[derive(Debug)]
pub struct Area {
    file: OwnedFd,
    window: Window,
    queues: u64,
}

/// The isolated area cannot be made.
#[derive(Debug, Error)]
pub enum AreaError {
    /// The system refuses.
    #[error("no isolated area of {size} bytes can be made")]
    System {
        /// The size that was asked for.
        size: u64,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be mapped.
    #[error("the isolated area cannot be mapped")]
    Map(#[from] MapError),
}

/// A queue cannot have a share of the isolated area.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The area was made for fewer queues.
    #[error("queue {queue} does not exist: the device has {queues}")]
    NoSuchQueue {
        /// The queue's index.
        queue: usize,
        /// The queues that there are.
        queues: u64,
    },
    /// The format does not allow the size.
    #[error(transparent)]
    Size(#[from] ring_core::index::QueueSizeError),
    /// The area is too small for so many queues.
    #[error(
        "{share} bytes of the isolated area are too few for a queue of {size}; give a larger --area-size"
    )]
    TooSmall {
        /// A queue's share in bytes.
        share: u64,
        /// The queue's size.
        size: u16,
    },
}

impl Area {
    /// An area of `size` bytes in all, for `queues` queues.
    ///
    /// # Errors
    ///
    /// [`AreaError`] if there is not so much memory, or none can be shared.
    pub fn new(size: u64, queues: u16) -> Result<Self, AreaError> {
        let file = sealed_file("isolated-area", size).map_err(|source| AreaError::System { size, source })?;
        let window = Window::map(&file, 0, size, BASE)?;
        Ok(Self { file, window, queues: queues.max(1).into() })
    }

    /// The area's memory, under the addresses that the device is told.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// The area as the device is told of it.
    #[must_use]
    pub const fn region(&self) -> MemoryRegion {
        MemoryRegion { guest_address: BASE, size: self.window.size(), user_address: BASE, offset: 0 }
    }

    /// Memory for a log of the pages that a device writes in the area, and its size.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub fn log(&self) -> io::Result<(OwnedFd, u64)> {
        let size = (BASE + self.window.size()).div_ceil(PAGE * 8).next_multiple_of(PAGE);
        Ok((sealed_file("isolated-log", size)?, size))
    }

    /// How large each queue's share is: its ring and its blocks.
    #[must_use]
    pub const fn share_size(&self) -> u64 {
        share_size(self.window.size(), self.queues)
    }

    /// The share of one queue, with a zeroed ring of `size` descriptors at its start.
    ///
    /// # Errors
    ///
    /// [`ShareError`] if there is no such queue, or no room for such a ring.
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
        let device = (driver + layout.driver.size as u64).next_multiple_of(PAGE);
        let blocks = (device + layout.device.size as u64).next_multiple_of(PAGE);
        let left = (start + share).checked_sub(blocks).filter(|left| *left >= LEAST_BLOCKS);
        let left = u32::try_from(left.ok_or_else(too_small)?.min(MOST_BLOCKS)).map_err(|_| too_small())?;
        let ring = u32::try_from(blocks - start).map_err(|_| too_small())?;
        self.window.zero(start, ring).map_err(|_| too_small())?;
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

/// How large each queue's share of an area is that has `size` bytes and is for so many queues, at least one.
#[must_use]
pub const fn share_size(size: u64, queues: u64) -> u64 {
    size / queues / PAGE * PAGE
}

/// Shared memory whose size nobody can change any more: a device that could shrink it could kill us.
fn sealed_file(name: &str, size: u64) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&file, size)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

/// One queue's part of the isolated area.
#[derive(Debug)]
pub struct Share {
    /// The ring at its start, as the device is told of it.
    pub setup: Setup,
    /// Where the blocks begin.
    pub blocks: u64,
    /// Which blocks are free.
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
    fn shares_do_not_overlap_and_rings_are_apart_from_blocks() {
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
    fn an_area_too_small_for_its_queues_says_so() {
        let area = Area::new(4 << 20, 4).unwrap();
        let share = area.share(0, 256, Features::empty());
        assert!(matches!(share, Err(ShareError::TooSmall { size: 256, .. })), "{share:?}");
    }
}
