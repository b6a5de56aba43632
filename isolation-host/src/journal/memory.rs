//! The file that the VMM keeps.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use ring_core::memory::Memory as _;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use thiserror::Error;

use super::records::{LONG_CHAIN, RECORD, Records};
use super::{Batch, HEADER, Journal};
use crate::mmap::{MapError, Window};

/// What the file begins with: it is isolation-host's, and of this layout.
const MAGIC: u64 = u64::from_le_bytes(*b"isohost1");
/// Where the queues begin.
const QUEUES: u64 = 64;

/// The journals of all queues of a device.
#[derive(Clone, Debug)]
pub struct JournalMemory {
    window: Window,
    queues: u16,
    queue_size: u16,
}

/// The file is of no use.
#[derive(Debug, Error)]
pub enum JournalError {
    /// It cannot be made.
    #[error("memory for {queues} queues of {size} requests in flight cannot be had")]
    Make {
        /// The queues.
        queues: u16,
        /// Their size.
        size: u16,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be mapped.
    #[error(transparent)]
    Map(#[from] MapError),
    /// It is too small.
    #[error("{bytes} bytes for {queues} queues of {size} requests in flight")]
    TooSmall {
        /// Its size in bytes.
        bytes: u64,
        /// The queues.
        queues: u16,
        /// Their size.
        size: u16,
    },
    /// It was made by another program, or by another version of this one.
    #[error("the requests in flight were noted by another program")]
    Foreign,
}

impl JournalMemory {
    /// Makes a file for so many queues of that size. Returns its size, too.
    ///
    /// # Errors
    ///
    /// [`JournalError::Make`] if there is no memory for it.
    pub fn make(queues: u16, queue_size: u16) -> Result<(OwnedFd, u64), JournalError> {
        let bytes = QUEUES + u64::from(queues) * size_of_queue(queue_size);
        let make = || {
            let file = memfd_create("requests-in-flight", MemfdFlags::CLOEXEC)?;
            ftruncate(&file, bytes)?;
            Ok(file)
        };
        let file = make().map_err(|source| JournalError::Make { queues, size: queue_size, source })?;
        let window = Window::map(&file, 0, bytes, 0)?;
        // Just mapped, so it is there.
        let _ = window.write_bytes(0, &MAGIC.to_le_bytes());
        Ok((file, bytes))
    }

    /// Takes a file that the VMM has kept.
    ///
    /// # Errors
    ///
    /// [`JournalError`] if it is not what [`make`](Self::make) made for as many queues of that size.
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

    /// The journal of one queue, which is of that size and format. There is none for a queue that is larger than the
    /// VMM had said it would be.
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
            settled: Batch { number: 0, used: 0 },
        })
    }
}

const fn size_of_queue(size: u16) -> u64 {
    (HEADER + size as usize * (RECORD + LONG_CHAIN)) as u64
}
