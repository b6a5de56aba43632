//! The guest's memory, and the copy of a migration.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use isolation_host::mmap::Window;
use ring_core::memory::Memory as _;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

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
    pub(crate) window: Window,
    /// The memory at the start of a migration, with all data that the guest has written since.
    copy: Option<File>,
}

impl Ram {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let file = memory_file("guest", RAM_SIZE)?;
        let window = Window::map(&file, 0, RAM_SIZE, RAM)?;
        Ok(Self { file, window, copy: None })
    }

    /// Writes data of the guest.
    pub(crate) fn write(&self, address: u64, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        self.window.write_bytes(address, bytes)?;
        if let Some(copy) = &self.copy {
            copy.write_all_at(bytes, address - RAM)?;
        }
        Ok(())
    }

    pub(crate) fn read(&self, address: u64, into: &mut [u8]) -> Result<(), Box<dyn Error>> {
        Ok(self.window.read_bytes(address, into)?)
    }

    /// Copies the whole memory.
    pub(crate) fn begin_copy(&mut self) -> Result<(), Box<dyn Error>> {
        let copy = memory_file("copy", RAM_SIZE)?;
        copy.write_all_at(&content(&self.file)?, 0)?;
        self.copy = Some(copy);
        Ok(())
    }

    /// Ends the copy. Returns its content.
    pub(crate) fn end_copy(&mut self) -> Result<Vec<u8>, Box<dyn Error>> {
        content(&self.copy.take().ok_or("there is no copy")?)
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
