//! Checks of the files behind guest memory.

use std::io;

use rustix::fs::{FileType, SealFlags, fcntl_get_seals, fstat};
use vm_memory::bitmap::Bitmap;
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

/// The error for guest memory that cannot be accessed as the front-end describes it.
#[derive(Debug)]
pub enum MemoryError {
    /// The file is shorter than the region. An access beyond the end of the file raises SIGBUS.
    TooShort {
        /// The guest address at which the region begins.
        address: u64,
        /// The offset at which the region ends in the file.
        end: u64,
        /// The size of the file.
        size: u64,
    },
    /// The file cannot be examined.
    File(io::Error),
}

impl std::fmt::Display for MemoryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooShort { address, end, size } => write!(
                f,
                "the file of the memory region at {address:#x} has {size} bytes, and the region ends at {end}; \
                 give the memory backend of the virtual machine a file of the full size"
            ),
            Self::File(error) => write!(f, "cannot examine the file behind guest memory: {error}"),
        }
    }
}

impl std::error::Error for MemoryError {}

impl From<MemoryError> for io::Error {
    fn from(error: MemoryError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Whether the files behind guest memory keep their size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// Each file is sealed against truncation.
    Yes,
    /// A file may be truncated. An access beyond the end of the file raises SIGBUS.
    No,
}

/// Checks that each file behind the memory is as long as its regions require.
pub(crate) fn check<B: Bitmap + 'static>(memory: &GuestMemoryMmap<B>) -> Result<Sealed, MemoryError> {
    let mut sealed = Sealed::Yes;
    for region in memory.iter() {
        let Some(file) = region.file_offset() else { continue };
        let metadata = fstat(file.file()).map_err(|error| MemoryError::File(error.into()))?;
        // A device file has no size.
        if FileType::from_raw_mode(metadata.st_mode) != FileType::RegularFile {
            continue;
        }
        let size = u64::try_from(metadata.st_size).unwrap_or(0);
        let end = file.start().saturating_add(region.len());
        if size < end {
            return Err(MemoryError::TooShort { address: region.start_addr().0, end, size });
        }
        // Only files in memory have seals.
        if !fcntl_get_seals(file.file()).is_ok_and(|seals| seals.contains(SealFlags::SHRINK)) {
            sealed = Sealed::No;
        }
    }
    Ok(sealed)
}
