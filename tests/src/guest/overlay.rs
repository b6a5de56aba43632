//! The files that a run adds to the guest's initramfs: the script and its data.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use cpio::newc::{Builder, ModeFileType, trailer};

/// The files of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    files: Vec<(String, Vec<u8>)>,
}

impl Overlay {
    /// Returns an overlay with a `script`, which the guest's shell runs.
    #[must_use]
    pub fn script(script: &str) -> Self {
        Self { files: vec![("run.sh".to_owned(), script.as_bytes().to_owned())] }
    }

    /// Lets the script run for up to this number of seconds, instead of 120.
    #[must_use]
    pub fn limit(self, seconds: u16) -> Self {
        self.file("limit", format!("{seconds}\n").into_bytes())
    }

    /// Adds a file at `/name`.
    #[must_use]
    pub fn file(mut self, name: &str, content: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), content));
        self
    }

    /// Adds a program of this machine at `/name`, with the libraries that the program needs.
    ///
    /// # Errors
    /// Fails if the program or a library cannot be read.
    pub fn program(self, name: &str, path: &Path) -> io::Result<Self> {
        let list = Command::new("ldd").arg(path).output()?;
        let mut overlay = self.file(name, fs::read(path)?);
        // "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)" for the loader.
        for line in String::from_utf8_lossy(&list.stdout).lines() {
            if let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) {
                overlay = overlay.file(library.trim_start_matches('/'), fs::read(library)?);
            }
        }
        Ok(overlay)
    }

    /// Writes the files as a cpio archive, the format of an initramfs.
    pub(super) fn write(&self, mut archive: impl Write) -> io::Result<()> {
        // Directories precede their files; Linux creates no missing directories.
        let parents = self.files.iter().flat_map(|(name, _)| Path::new(name).ancestors().skip(1));
        let directories: BTreeSet<&Path> = parents.filter(|path| !path.as_os_str().is_empty()).collect();
        for directory in directories {
            Builder::new(&directory.to_string_lossy())
                .mode(0o755)
                .set_mode_file_type(ModeFileType::Directory)
                .write(&mut archive, 0)
                .finish()?;
        }
        for (name, content) in &self.files {
            let size = u32::try_from(content.len()).map_err(|_| {
                io::Error::other(format!("{name} exceeds the 4 GiB that a file of an initramfs may have"))
            })?;
            let mut entry = Builder::new(name)
                .mode(0o755)
                .set_mode_file_type(ModeFileType::Regular)
                .write(&mut archive, size);
            entry.write_all(content)?;
            entry.finish()?;
        }
        trailer(archive)?;
        Ok(())
    }
}
