//! The guest's memory, and the copy of a migration.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use isolation_host::mmap::Window;
use ring_core::memory::Memory as _;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use crate::mirror::Mirrored;

/// The guest-physical address of the memory, and its size.
pub(crate) const RAM: u64 = 0x10_0000;
pub(crate) const RAM_SIZE: u64 = 32 << 20;
/// The bytes of a page of the dirty log.
pub(crate) const PAGE: u64 = 4096;
/// The bytes of a log with a bit for each page up to the end of the memory.
pub(crate) const LOG_SIZE: u64 = (RAM + RAM_SIZE) / PAGE / 8;

/// The guest's memory.
pub(crate) struct Ram {
    pub(crate) file: File,
    /// The memory at the destination of a migration, with all that the guest has written since.
    pub(crate) copy: File,
    pub(crate) windows: Mirrored<Window>,
}

impl Ram {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let (file, copy) = (memory_file("guest", RAM_SIZE)?, memory_file("copy", RAM_SIZE)?);
        let [memory, mirror] = [Window::map(&file, 0, RAM_SIZE, RAM)?, Window::map(&copy, 0, RAM_SIZE, RAM)?];
        Ok(Self { file, copy, windows: Mirrored { memory, copy: mirror } })
    }

    /// Writes data of the guest.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.windows.write_bytes(address, bytes)?)
    }

    pub(crate) fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.windows.read_bytes(address, into)?)
    }

    /// Copies the whole memory.
    pub(crate) fn copy_all(&self) -> Result<(), Box<dyn Error>> {
        Ok(self.copy.write_all_at(&content(&self.file)?, 0)?)
    }

    /// Copies a page, by its number.
    pub(crate) fn copy_page(&self, page: u64) -> Result<(), Box<dyn Error>> {
        let start = (page * PAGE).checked_sub(RAM).ok_or("a page before the memory is in the log")?;
        let mut bytes = vec![0; usize::try_from(PAGE)?];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(self.copy.write_all_at(&bytes, start)?)
    }
}

/// Returns the whole content of a file of the size of the memory.
pub(crate) fn content(file: &File) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = vec![0; usize::try_from(RAM_SIZE)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// Makes a file in memory.
pub(crate) fn memory_file(name: &str, size: u64) -> Result<File, Box<dyn Error>> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC)?;
    ftruncate(&file, size)?;
    Ok(file.into())
}
