//! The memory that both processes share for one take.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

use super::fields::{Field, HEADER_BYTES};
use crate::mmap::Mapping;

/// The name of the files, which `/proc/PID/maps` shows.
const NAME: &str = "snd-host-take";

/// The seals of a file: neither process can change its size, and cause a fault in the other.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// A shared area: words, and bytes for frames.
#[derive(Debug)]
pub struct SharedArea {
    mapping: Mapping,
    file: Arc<File>,
    bytes: usize,
}

impl SharedArea {
    /// Creates an area with `bytes` bytes for frames, all of them 0.
    ///
    /// # Errors
    ///
    /// Fails if there is no memory or no file descriptor.
    pub fn create(bytes: usize) -> io::Result<Self> {
        let file = File::from(memfd_create(NAME, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        file.set_len((HEADER_BYTES + bytes) as u64)?;
        fcntl_add_seals(&file, SEALS)?;
        Self::map(Arc::new(file), bytes)
    }

    /// Maps an area that the other process has created.
    ///
    /// # Errors
    ///
    /// Fails if the file is not sealed, or does not have `bytes` bytes for frames.
    pub fn open(file: File, bytes: usize) -> io::Result<Self> {
        if !fcntl_get_seals(&file)?.contains(SEALS) || file.metadata()?.len() != (HEADER_BYTES + bytes) as u64
        {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Self::map(Arc::new(file), bytes)
    }

    fn map(file: Arc<File>, bytes: usize) -> io::Result<Self> {
        let mapping = Mapping::new(file.clone(), HEADER_BYTES + bytes)?;
        Ok(Self { mapping, file, bytes })
    }

    /// Returns the file, for the other process.
    pub const fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Returns the number of bytes for frames.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn word(&self, field: Field) -> &AtomicU64 {
        self.mapping.word(field as usize)
    }

    /// Reads a word that is not ordered with other words.
    pub fn get(&self, field: Field) -> u64 {
        self.word(field).load(Ordering::Relaxed)
    }

    /// Writes a word that is not ordered with other words.
    pub fn set(&self, field: Field, value: u64) {
        self.word(field).store(value, Ordering::Relaxed);
    }

    /// Copies bytes for frames out.
    pub(super) fn copy_out(&self, at: usize, to: &mut [u8]) {
        self.mapping.copy_out(HEADER_BYTES + at, to);
    }

    /// Copies bytes for frames in.
    pub(super) fn copy_in(&mut self, at: usize, from: &[u8]) {
        self.mapping.copy_in(HEADER_BYTES + at, from);
    }

    /// Lets `write` write bytes for frames, and returns its result.
    pub(super) fn fill(&mut self, at: usize, bytes: usize, write: impl FnOnce(&mut [u8]) -> bool) -> bool {
        self.mapping.fill(HEADER_BYTES + at, bytes, write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_process_can_change_the_size_of_an_area() {
        let area = SharedArea::create(100).unwrap();
        for size in [0, 100_000] {
            assert_eq!(area.file().set_len(size).unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn a_file_that_is_not_sealed_or_has_another_size_is_refused() {
        let unsealed = File::from(memfd_create("unsealed", MemfdFlags::CLOEXEC).unwrap());
        unsealed.set_len((HEADER_BYTES + 100) as u64).unwrap();
        assert!(SharedArea::open(unsealed, 100).is_err());
        let area = SharedArea::create(100).unwrap();
        assert!(SharedArea::open(area.file().try_clone().unwrap(), 101).is_err());
        assert!(SharedArea::open(area.file().try_clone().unwrap(), 100).is_ok());
    }

    #[test]
    fn both_sides_of_an_area_see_the_same_words_and_bytes() {
        let mut one = SharedArea::create(100).unwrap();
        let other = SharedArea::open(one.file().try_clone().unwrap(), 100).unwrap();
        one.set(Field::SegmentNext, 7);
        one.copy_in(97, &[1, 2, 3]);
        assert!(one.fill(0, 2, |part| {
            part.copy_from_slice(&[8, 9]);
            true
        }));
        assert!(!one.fill(99, 2, |_| true), "outside of the area");
        let mut bytes = [0; 100];
        other.copy_out(0, &mut bytes);
        assert_eq!(
            (other.get(Field::SegmentNext), &bytes[..3], &bytes[96..]),
            (7, &[8, 9, 0][..], &[0, 1, 2, 3][..])
        );
    }
}
