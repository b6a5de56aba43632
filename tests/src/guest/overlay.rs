//! The files that a run adds to the guest's initramfs: the script and its data.

use std::collections::BTreeSet;
use std::ffi::OsStr;
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
        self.file(name, fs::read(path)?).libraries_of(path, OsStr::new(""))
    }

    /// Adds a program or a library of this machine at the same path, with the libraries that it
    /// needs. The loader searches for the libraries with `LD_LIBRARY_PATH` set to `library_path`.
    ///
    /// # Errors
    /// Fails if a file cannot be read.
    pub fn same_path(self, path: &Path, library_path: &OsStr) -> io::Result<Self> {
        let name = path.to_string_lossy();
        self.file(name.trim_start_matches('/'), fs::read(path)?).libraries_of(path, library_path)
    }

    /// Adds all files below a directory of this machine at the same paths, without the libraries
    /// that they need.
    ///
    /// # Errors
    /// Fails if a file or a directory cannot be read.
    pub fn tree(self, directory: &Path) -> io::Result<Self> {
        fs::read_dir(directory)?.try_fold(self, |overlay, entry| {
            let path = entry?.path();
            if path.is_dir() {
                return overlay.tree(&path);
            }
            let content = fs::read(&path)?;
            Ok(overlay.file(path.to_string_lossy().trim_start_matches('/'), content))
        })
    }

    /// Adds the libraries that a program needs.
    fn libraries_of(self, path: &Path, library_path: &OsStr) -> io::Result<Self> {
        let list = Command::new("ldd").arg(path).env("LD_LIBRARY_PATH", library_path).output()?;
        let mut overlay = self;
        // "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)" for the loader.
        for line in String::from_utf8_lossy(&list.stdout).lines() {
            let library = line.split_whitespace().find(|word| word.starts_with('/'));
            let name = library.unwrap_or_default().trim_start_matches('/');
            if let Some(library) = library.filter(|_| overlay.files.iter().all(|(other, _)| other != name)) {
                overlay = overlay.file(name, fs::read(library)?);
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
