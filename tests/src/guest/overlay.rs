//! What one run adds to the guest's initramfs: its script and its data.

use std::io::{self, Write};

use cpio::newc::{Builder, ModeFileType, trailer};

/// The files of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    files: Vec<(String, Vec<u8>)>,
}

impl Overlay {
    /// A run of `script`, by the guest's shell.
    #[must_use]
    pub fn script(script: &str) -> Self {
        Self { files: vec![("run.sh".to_owned(), script.as_bytes().to_owned())] }
    }

    /// Adds a file that the script finds as `/name`.
    #[must_use]
    pub fn file(mut self, name: &str, content: Vec<u8>) -> Self {
        self.files.push((name.to_owned(), content));
        self
    }

    /// Writes the files as a cpio archive, the form in which Linux takes an initramfs.
    pub(super) fn write(&self, mut archive: impl Write) -> io::Result<()> {
        for (name, content) in &self.files {
            let size = u32::try_from(content.len())
                .map_err(|_| io::Error::other(format!("{name} is too large for an initramfs")))?;
            let mut entry = Builder::new(name)
                .mode(0o644)
                .set_mode_file_type(ModeFileType::Regular)
                .write(&mut archive, size);
            entry.write_all(content)?;
            entry.finish()?;
        }
        trailer(archive)?;
        Ok(())
    }
}
