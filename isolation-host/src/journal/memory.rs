//! The in-flight region: the file that the VMM keeps for the journals.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use ring_core::memory::Memory as _;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use thiserror::Error;

use super::records::{LONG_CHAIN, RECORD, Records};
use super::{Batch, HEADER, Journal};
use crate::mmap::{MapError, Window};

/// The first bytes of the file, which name this program and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"isohost1");
/// The offset of the first queue.
const QUEUES: u64 = 64;

/// The in-flight region, with the journals of all queues of a device.
#[derive(Clone, Debug)]
pub struct JournalMemory {
    window: Window,
    queues: u16,
    queue_size: u16,
}

/// The in-flight region cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The memory cannot be allocated.
    #[error("cannot allocate an in-flight region for {queues} queues of {size} requests")]
    Allocate {
        /// The number of queues.
        queues: u16,
        /// The size of each queue.
        size: u16,
        /// The reason.
        source: io::Error,
    },
    /// The file cannot be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// The file is too small.
    #[error("an in-flight region of {bytes} bytes is too small for {queues} queues of {size} requests")]
    TooSmall {
        /// The size of the file in bytes.
        bytes: u64,
        /// The number of queues.
        queues: u16,
        /// The size of each queue.
        size: u16,
    },
    /// Another program, or another version of this program, has made the file.
    #[error("the in-flight region was made by another program or version")]
    Foreign,
}

impl JournalMemory {
    /// Makes a file for `queues` queues of up to `queue_size` descriptors.
    ///
    /// Returns the file and its size.
    ///
    /// # Errors
    ///
    /// [`JournalError::Allocate`] if there is not enough memory.
    pub fn make(queues: u16, queue_size: u16) -> Result<(OwnedFd, u64), JournalError> {
        let bytes = QUEUES + u64::from(queues) * size_of_queue(queue_size);
        let make = || {
            let file = memfd_create("requests-in-flight", MemfdFlags::CLOEXEC)?;
            ftruncate(&file, bytes)?;
            Ok(file)
        };
        let file = make().map_err(|source| JournalError::Allocate { queues, size: queue_size, source })?;
        let window = Window::map(&file, 0, bytes, 0)?;
        // The window was mapped with this size, so the write cannot fail.
        let _ = window.write_bytes(0, &MAGIC.to_le_bytes());
        Ok((file, bytes))
    }

    /// Maps a file that the VMM has kept.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if [`make`](Self::make) has not made the file, or if the file is too small
    /// for `queues` queues of this size.
    pub fn open(
        file: impl AsFd,
        offset: u64,
        bytes: u64,
        queues: u16,
        queue_size: u16,
    ) -> Result<Self, JournalError> {
        if bytes < QUEUES + u64::from(queues) * size_of_queue(queue_size) {
            return Err(JournalError::TooSmall { bytes, queues, size: queue_size });
        }
        let window = Window::map(file, offset, bytes, 0)?;
        let mut magic = [0; 8];
        let read = window.read_bytes(0, &mut magic);
        if read.is_err() || u64::from_le_bytes(magic) != MAGIC {
            return Err(JournalError::Foreign);
        }
        Ok(Self { window, queues, queue_size })
    }

    /// Returns the journal of a queue of this size and format.
    ///
    /// Returns `None` if the queue is larger than the VMM had announced.
    #[must_use]
    pub fn queue(&self, index: usize, size: u16, packed: bool) -> Option<Journal> {
        let index = u64::try_from(index).ok().filter(|index| *index < self.queues.into())?;
        if size == 0 || size > self.queue_size {
            return None;
        }
        let start = QUEUES + index * size_of_queue(self.queue_size);
        let records = start + HEADER as u64;
        let long_chains = records + (usize::from(self.queue_size) * RECORD) as u64;
        let size_of = |each: usize| usize::from(size) * each;
        Some(Journal {
            header: self.window.area(start, HEADER).ok()?,
            records: Records {
                records: self.window.area(records, size_of(RECORD)).ok()?,
                long_chains: self.window.area(long_chains, size_of(LONG_CHAIN)).ok()?,
            },
            state: u64::from(size) | u64::from(packed) << 16,
            committed: Batch { number: 0, used: 0 },
        })
    }
}

const fn size_of_queue(size: u16) -> u64 {
    (HEADER + size as usize * (RECORD + LONG_CHAIN)) as u64
}
