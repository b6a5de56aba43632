//! What a process can read of the memory that it shares with other processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

use memchr::memmem::Finder;
use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::memory;

/// The size of a page.
const PAGE: usize = 4096;
/// The size of a part of memory that is described by numbers.
pub const MEBIBYTE: usize = 1 << 20;

/// A memory file that a process can read.
#[derive(Debug)]
struct SharedMemory {
    name: String,
    file: File,
}

/// The content of a memory file, for each MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visible {
    /// The name of the memory file.
    pub name: String,
    /// The parts in order.
    pub mebibytes: Vec<Mebibyte>,
}

/// The content of a MiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mebibyte {
    /// The number of pages that are not all zeros.
    pub pages: u16,
    /// How often the secret starts in this MiB.
    pub secrets: u16,
}

/// What a device and QEMU can read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// The memory files of the device.
    pub device: Vec<Visible>,
    /// The memory files of QEMU, one of them with all guest memory.
    pub qemu: Vec<Visible>,
}

impl Visible {
    /// Returns the number of pages that are not all zeros.
    #[must_use]
    pub fn pages(&self) -> u32 {
        self.mebibytes.iter().map(|it| u32::from(it.pages)).sum()
    }

    /// Returns how often the secret was found.
    #[must_use]
    pub fn secrets(&self) -> u32 {
        self.mebibytes.iter().map(|it| u32::from(it.secrets)).sum()
    }
}

impl Sight {
    /// Searches the memory that a device and QEMU share with other processes.
    ///
    /// # Errors
    /// Fails if a process has ended, or if its memory cannot be read.
    pub fn of(device: u32, qemu: u32, secret: &[u8]) -> io::Result<Self> {
        // Open all memory first: the guest runs while the memory is searched.
        let (device, qemu) = (open(device)?, open(qemu)?);
        let look = |all: &[SharedMemory]| -> io::Result<Vec<Visible>> {
            all.iter().map(|memory| memory.look(secret)).collect()
        };
        Ok(Self { device: look(&device)?, qemu: look(&qemu)? })
    }
}

/// Opens all memory files that a process maps or has open, except the memory that only the two
/// processes of snd-host share. Fails if one of the files cannot be opened.
fn open(process: u32) -> io::Result<Vec<SharedMemory>> {
    let listed = memory::of_process(process)?;
    let mut files = BTreeMap::new();
    for kind in ["fd", "map_files"] {
        // Only root may open mapped files. All of them are open as well, which is checked below.
        for entry in fs::read_dir(format!("/proc/{process}/{kind}")).into_iter().flatten() {
            if let Some((identity, file)) = shared(entry?.path()) {
                files.entry(identity).or_insert(file);
            }
        }
    }
    let opened: BTreeSet<String> = files.values().map(|file| file.name.clone()).collect();
    // The process may have closed a file meanwhile.
    let still_listed = memory::of_process(process)?;
    if let Some(name) = listed.intersection(&still_listed).find(|name| !opened.contains(*name)) {
        return Err(io::Error::other(format!("cannot open the memory {name} of process {process}")));
    }
    Ok(files.into_values().filter(|file| file.name != memory::TAKE).collect())
}

/// Opens a file in `/proc` if it is a memory file. Returns its inode, which identifies the file.
fn shared(path: PathBuf) -> Option<(u64, SharedMemory)> {
    let name = memory::memory_file(&fs::read_link(&path).ok()?.to_string_lossy())?;
    let file = File::open(path).ok()?;
    Some((file.metadata().ok()?.ino(), SharedMemory { name, file }))
}

impl SharedMemory {
    /// Reads the whole memory, and searches for `secret`.
    fn look(&self, secret: &[u8]) -> io::Result<Visible> {
        let size = usize::try_from(self.file.metadata()?.len()).map_err(io::Error::other)?;
        let mut mebibytes = vec![Mebibyte::default(); size.div_ceil(MEBIBYTE)];
        let finder = Finder::new(secret);
        // A secret may start in one MiB and end in the next.
        let mut bytes = vec![0; MEBIBYTE + secret.len().saturating_sub(1)];
        let mut next = 0;
        while let Some(data) = self.data_from(next * MEBIBYTE)? {
            let index = data / MEBIBYTE;
            let length = read_at_most(&self.file, &mut bytes, index * MEBIBYTE)?;
            let read = &bytes[..length];
            if let Some(mebibyte) = mebibytes.get_mut(index) {
                let pages = read[..length.min(MEBIBYTE)].chunks(PAGE);
                mebibyte.pages = count(pages.filter(|page| **page != [0; PAGE][..page.len()]));
                mebibyte.secrets = count(finder.find_iter(read).filter(|at| *at < MEBIBYTE));
            }
            next = index + 1;
        }
        Ok(Visible { name: self.name.clone(), mebibytes })
    }

    /// Returns where the next allocated page lies, from `offset` on.
    fn data_from(&self, offset: usize) -> io::Result<Option<usize>> {
        match seek(&self.file, SeekFrom::Data(offset as u64)) {
            Ok(data) => Ok(Some(usize::try_from(data).map_err(io::Error::other)?)),
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Counts items of a MiB. A MiB has less than 2^16 items of more than 16 bytes.
fn count<T>(items: impl Iterator<Item = T>) -> u16 {
    u16::try_from(items.count()).unwrap_or(u16::MAX)
}

/// Reads until the buffer is full or the file ends. Returns the number of bytes.
fn read_at_most(file: &File, buffer: &mut [u8], offset: usize) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], (offset + filled) as u64)? {
            0 => break,
            length => filled += length,
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    #[test]
    fn data_and_secrets_are_found_also_across_the_border_of_parts() -> io::Result<()> {
        let file = File::from(memfd_create("searched by a test", MemfdFlags::CLOEXEC)?);
        ftruncate(&file, 4 * MEBIBYTE as u64)?;
        file.write_all_at(b"secret", 2 * MEBIBYTE as u64 - 3)?;
        file.write_all_at(b"secret", 3 * MEBIBYTE as u64)?;
        let all = open(std::process::id())?;
        let shared = all.iter().find(|it| it.name == "searched by a test");
        let visible = shared.ok_or(io::ErrorKind::NotFound)?.look(b"secret")?;
        let numbers: Vec<_> = visible.mebibytes.iter().map(|it| (it.pages, it.secrets)).collect();
        assert_eq!(numbers, [(0, 0), (1, 1), (1, 0), (1, 1)]);
        assert_eq!((visible.pages(), visible.secrets()), (3, 2));
        Ok(())
    }
}
