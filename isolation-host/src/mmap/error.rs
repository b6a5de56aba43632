//! The reasons why memory cannot be mapped.

use std::io;

use thiserror::Error;

/// A range of a file cannot be mapped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MapError {
    /// The range is empty, or extends past the last address.
    #[error("cannot map {size} bytes at {offset:#x}: empty or overflowing range")]
    Range {
        /// The start of the range in the file.
        offset: u64,
        /// The size of the range in bytes.
        size: u64,
    },
    /// The range extends past the end of the file, where an access would kill the process.
    #[error("cannot map {size} bytes at {offset:#x}: the file has only {file} bytes")]
    PastEnd {
        /// The start of the range in the file.
        offset: u64,
        /// The size of the range in bytes.
        size: u64,
        /// The file's size in bytes.
        file: u64,
    },
    /// The system refuses the mapping.
    #[error(transparent)]
    System(#[from] io::Error),
}
