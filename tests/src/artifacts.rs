//! Where the things are that a test needs: the guest's image and the programs under test.
//!
//! All of it is below Cargo's target directory. A test finds that from its own path, so it works
//! wherever `CARGO_TARGET_DIR` points and whatever directory it is started in.

use std::env;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Something that had to be there is not.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The running program is not one that Cargo built.
    #[error("{exe} is not in a Cargo target directory", exe = exe.display())]
    OutsideTarget {
        /// The running program.
        exe: PathBuf,
    },
    /// The path of the running program is unknown.
    #[error("the path of the running program is unknown")]
    NoExe(#[source] std::io::Error),
    /// A file has not been made yet.
    #[error("{path} is missing; `{made_by}` makes it", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The command that makes it.
        made_by: String,
    },
}

/// How a program under test was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// As tests are: quick to build, overflow checks on.
    Debug,
    /// As it is used.
    Release,
}

impl Profile {
    fn directory(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }

    fn build_option(self) -> &'static str {
        match self {
            Self::Debug => "",
            Self::Release => "--release ",
        }
    }
}

/// The target directory from which this program runs.
///
/// # Errors
/// If Cargo did not put the program there.
pub fn target_dir() -> Result<PathBuf, ArtifactError> {
    let exe = env::current_exe().map_err(ArtifactError::NoExe)?;
    // Cargo tags its target directories so that backups can skip them.
    exe.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map(Path::to_owned)
        .ok_or(ArtifactError::OutsideTarget { exe: exe.clone() })
}

/// A program of this workspace.
///
/// Cargo tells a test the paths of its own package's programs only, and does not build those of
/// others for it; `cargo xtask test` does.
///
/// # Errors
/// If it has not been built.
pub fn program(name: &str, profile: Profile) -> Result<PathBuf, ArtifactError> {
    existing(target_dir()?.join(profile.directory()).join(name), || {
        format!("cargo build {}--package {name}", profile.build_option())
    })
}

/// The files from which a guest boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestImage {
    /// The kernel, as QEMU's `-kernel` takes it.
    pub kernel: PathBuf,
    /// The initramfs: busybox, sound modules and tools, [`INIT`](crate::guest::INIT).
    pub initramfs: PathBuf,
}

impl GuestImage {
    /// The directory below the target directory that holds all about guests.
    pub const DIRECTORY: &str = "guest";

    /// Where the image is, or will be, in a directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self {
            kernel: directory.join("kernel/vmlinuz"),
            initramfs: directory.join("initramfs/initramfs.cpio"),
        }
    }

    /// The image that `cargo xtask setup` prepares.
    ///
    /// # Errors
    /// If it has not run.
    pub fn prepared() -> Result<Self, ArtifactError> {
        let image = Self::within(&target_dir()?.join(Self::DIRECTORY));
        let made_by = || "cargo xtask setup".to_owned();
        Ok(Self { kernel: existing(image.kernel, made_by)?, initramfs: existing(image.initramfs, made_by)? })
    }
}

/// Where virtiofsd is, or will be, below the target directory: Debian has it where no `$PATH` leads, or not at all.
pub const VIRTIOFSD: &str = "virtiofsd/bin/virtiofsd";

/// virtiofsd, a vhost-user device that serves a directory.
///
/// # Errors
/// If `cargo xtask setup` has not run.
pub fn virtiofsd() -> Result<PathBuf, ArtifactError> {
    existing(target_dir()?.join(VIRTIOFSD), || "cargo xtask setup".to_owned())
}

fn existing(path: PathBuf, made_by: impl FnOnce() -> String) -> Result<PathBuf, ArtifactError> {
    if path.is_file() { Ok(path) } else { Err(ArtifactError::Missing { path, made_by: made_by() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_finds_its_own_target_directory() -> Result<(), ArtifactError> {
        assert!(target_dir()?.is_absolute());
        Ok(())
    }

    #[test]
    fn a_missing_program_names_the_command_that_builds_it() {
        let missing = program("no-such-program", Profile::Release);
        let message = missing.map_err(|error| error.to_string());
        assert!(
            matches!(&message, Err(text) if text.ends_with("`cargo build --release --package no-such-program` makes it")),
            "{message:?}"
        );
    }
}
