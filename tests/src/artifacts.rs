//! The paths of files that a test needs: the guest's image and the programs under test.
//!
//! All of them are below Cargo's target directory. A test derives that directory from its own path,
//! so neither `CARGO_TARGET_DIR` nor the current directory matters.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file that a test needs is missing.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// The running program is not one that Cargo built.
    #[error("{exe} is not in a Cargo target directory; run it through Cargo", exe = exe.display())]
    OutsideTarget {
        /// The running program.
        exe: PathBuf,
    },
    /// The path of the running program is unknown.
    #[error("the path of the running program is unknown")]
    NoExe(#[source] std::io::Error),
    /// A file does not exist yet.
    #[error("{path} is missing; run `{made_by}`", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The command that makes it.
        made_by: String,
    },
}

/// The Cargo profile of a program under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// The profile of the tests: quick to build, with overflow checks.
    Debug,
    /// The optimized profile.
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

/// Returns the target directory from which this program runs.
///
/// # Errors
/// Fails if the program is not below a Cargo target directory.
pub fn target_dir() -> Result<PathBuf, ArtifactError> {
    let exe = env::current_exe().map_err(ArtifactError::NoExe)?;
    // Cargo tags its target directories so that backups can skip them.
    exe.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .map(Path::to_owned)
        .ok_or(ArtifactError::OutsideTarget { exe: exe.clone() })
}

/// Returns the path of a program of this workspace.
///
/// Cargo builds only the programs of a test's own package; `cargo xtask test` builds the others.
///
/// # Errors
/// Fails if the program has not been built.
pub fn program(name: &str, profile: Profile) -> Result<PathBuf, ArtifactError> {
    existing(target_dir()?.join(profile.directory()).join(name), || {
        format!("cargo build {}--package {name}", profile.build_option())
    })
}

/// Returns the path of an example of this workspace.
///
/// # Errors
/// Fails if the example has not been built.
pub fn example(name: &str) -> Result<PathBuf, ArtifactError> {
    existing(target_dir()?.join("debug/examples").join(name), || format!("cargo build --example {name}"))
}

/// The files from which a guest boots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestImage {
    /// The kernel, as QEMU's `-kernel` takes it.
    pub kernel: PathBuf,
    /// The initramfs with busybox, sound modules and tools, and [`INIT`](crate::guest::INIT).
    pub initramfs: PathBuf,
}

impl GuestImage {
    /// The directory of the guest's files, relative to the target directory.
    pub const DIRECTORY: &str = "guest";

    /// Returns the paths of the image's files in a directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self {
            kernel: directory.join("kernel/vmlinuz"),
            initramfs: directory.join("initramfs/initramfs.cpio"),
        }
    }

    /// Returns the image that `cargo xtask setup` prepares.
    ///
    /// # Errors
    /// Fails if that command has not run.
    pub fn prepared() -> Result<Self, ArtifactError> {
        prepared(Self::DIRECTORY, Self::within, |image| vec![&image.kernel, &image.initramfs])
    }
}

/// The directory of the modules for vDPA, relative to the directory of the guest's files.
pub const VDPA_MODULES: &str = "kernel/vdpa";

/// Returns the kernel modules with which the guest has vDPA devices, in the order of loading. The
/// guest does not load them by itself.
///
/// # Errors
/// Fails if `cargo xtask setup` has not run.
pub fn vdpa_modules() -> Result<Vec<PathBuf>, ArtifactError> {
    let directory = target_dir()?.join(GuestImage::DIRECTORY).join(VDPA_MODULES);
    let missing =
        || ArtifactError::Missing { path: directory.clone(), made_by: "cargo xtask setup".to_owned() };
    let entries = std::fs::read_dir(&directory).map_err(|_| missing())?;
    let mut modules: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    modules.sort();
    if modules.is_empty() { Err(missing()) } else { Ok(modules) }
}

/// The path of virtiofsd relative to the target directory. Debian's virtiofsd is not in `$PATH`.
pub const VIRTIOFSD: &str = "virtiofsd/bin/virtiofsd";

/// Returns the path of virtiofsd, a vhost-user device that serves a directory.
///
/// # Errors
/// Fails if `cargo xtask setup` has not run.
pub fn virtiofsd() -> Result<PathBuf, ArtifactError> {
    existing(target_dir()?.join(VIRTIOFSD), || "cargo xtask setup".to_owned())
}

/// The path of vhost-device-rng relative to the target directory.
pub const VHOST_DEVICE_RNG: &str = "vhost-device-rng/bin/vhost-device-rng";

/// Returns the path of vhost-device-rng, a vhost-user device that serves entropy from a file.
///
/// # Errors
/// Fails if `cargo xtask setup` has not run.
pub fn vhost_device_rng() -> Result<PathBuf, ArtifactError> {
    existing(target_dir()?.join(VHOST_DEVICE_RNG), || "cargo xtask setup".to_owned())
}

/// The files of PulseAudio, a sound server that is unpacked but not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PulseAudio {
    /// The server.
    pub program: PathBuf,
    /// The program that plays and records raw audio.
    pub client: PathBuf,
    /// The program that controls the server.
    pub control: PathBuf,
    /// The directory of the server's modules.
    pub modules: PathBuf,
    /// The directory of the shared libraries.
    libraries: PathBuf,
}

impl PulseAudio {
    /// The directory of PulseAudio, relative to the target directory.
    pub const DIRECTORY: &str = "pulseaudio";

    /// Returns the paths of PulseAudio's files in a directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        Self {
            program: directory.join("usr/bin/pulseaudio"),
            client: directory.join("usr/bin/pacat"),
            control: directory.join("usr/bin/pactl"),
            modules: directory.join("modules"),
            libraries: directory.join("usr/lib/x86_64-linux-gnu"),
        }
    }

    /// Returns PulseAudio as `cargo xtask setup` prepares it.
    ///
    /// # Errors
    /// Fails if that command has not run.
    pub fn prepared() -> Result<Self, ArtifactError> {
        prepared(Self::DIRECTORY, Self::within, |server| {
            vec![&server.program, &server.client, &server.control]
        })
    }

    /// Returns the value of `LD_LIBRARY_PATH` with which the server finds its libraries.
    #[must_use]
    pub fn libraries(&self) -> OsString {
        let private = self.libraries.join("pulseaudio");
        let paths = [self.libraries.as_path(), &private, &self.modules].map(Path::as_os_str);
        paths.join(OsStr::new(":"))
    }
}

/// The files of DPDK, which is unpacked but not installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dpdk {
    /// testpmd.
    pub program: PathBuf,
    /// The directory of the shared libraries.
    pub libraries: PathBuf,
    /// The directory of the drivers. `None` if DPDK finds the drivers of an installed package.
    pub drivers: Option<PathBuf>,
}

impl Dpdk {
    /// The directory of DPDK, relative to the target directory.
    pub const DIRECTORY: &str = "dpdk";

    /// Returns the paths of DPDK's files in a directory.
    #[must_use]
    pub fn within(directory: &Path) -> Self {
        let libraries = directory.join("usr/lib/x86_64-linux-gnu");
        // The directory's name has the version. It is the only one there.
        let mut drivers = std::fs::read_dir(libraries.join("dpdk")).into_iter().flatten();
        let drivers = drivers.find_map(|entry| Some(entry.ok()?.path()));
        Self { program: directory.join("usr/bin/dpdk-testpmd"), libraries, drivers }
    }

    /// Returns DPDK as `cargo xtask setup` prepares it.
    ///
    /// # Errors
    /// Fails if that command has not run.
    pub fn prepared() -> Result<Self, ArtifactError> {
        prepared(Self::DIRECTORY, Self::within, |dpdk| vec![&dpdk.program])
    }
}

/// Returns what `cargo xtask setup` has prepared in a directory below the target directory.
///
/// `within` returns the paths in a directory. Fails if one of the files that `required` returns is
/// missing.
pub(crate) fn prepared<T>(
    directory: &str,
    within: impl Fn(&Path) -> T,
    required: impl Fn(&T) -> Vec<&PathBuf>,
) -> Result<T, ArtifactError> {
    let prepared = within(&target_dir()?.join(directory));
    for file in required(&prepared) {
        existing(file.clone(), || "cargo xtask setup".to_owned())?;
    }
    Ok(prepared)
}

/// Returns a path. Fails, and names the command that makes the file, if there is no file.
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
            matches!(&message, Err(text) if text.ends_with("run `cargo build --release --package no-such-program`")),
            "{message:?}"
        );
    }
}
