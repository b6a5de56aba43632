//! Debian's Rust 1.85, with the packages that link and run programs for other processors. All
//! packages are unpacked but not installed.
//!
//! One compiler serves two purposes. Rust 1.85 is the oldest version that the libraries support.
//! With the source of the standard library, Rust 1.85 builds for each processor that LLVM knows,
//! also for processors for which Debian has no standard library.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use end_to_end::artifacts::target_dir;
use xshell::{Cmd, Shell, cmd};

use super::debian::Debian;
use super::{apt, debs, network};
use crate::cached;
use crate::command::quietly;

/// The directory of the packages, below the target directory.
const DIRECTORY: &str = "rust-1.85";
/// The directories of shared libraries, below the directory of the packages.
const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/// The directories of rust-src that are not needed to build the standard library. They take 300 MB.
const COMPILER_SOURCE: [&str; 2] = ["compiler", "src"];

/// The unpacked packages.
#[derive(Debug)]
pub(crate) struct Rust {
    directory: PathBuf,
}

/// The packages of a release.
#[derive(Debug)]
struct Packages {
    /// Packages with programs. For these packages, apt also finds the shared libraries that are not
    /// installed. apt does not choose an old version of a package by itself, so the compiler's
    /// library is named.
    programs: [&'static str; 4],
    /// The compiler's code, the source of the standard library, and the emulators.
    others: [&'static str; 3],
    /// The version of GCC whose start-up files and libraries are linked.
    gcc: u8,
}

/// The names that Debian's cross-compilation packages have for processors.
const ARCHITECTURES: [&str; 5] = ["arm64", "riscv64", "s390x", "powerpc", "i386"];

impl Packages {
    const fn of(debian: Debian) -> Self {
        match debian {
            // Debian 12 has two versions of rustc-web.
            Debian::Bookworm => Self {
                programs: ["rustc-web=1.85*", "libstd-rust-web-dev=1.85*", "cargo-web=1.85*", "lld-19"],
                others: ["libstd-rust-web-1.85", "rust-web-src=1.85*", "qemu-user-static"],
                gcc: 12,
            },
            Debian::Trixie => Self {
                programs: ["rustc", "libstd-rust-dev", "cargo", "lld-19"],
                others: ["libstd-rust-1.85", "rust-src", "qemu-user"],
                gcc: 14,
            },
        }
    }

    /// Returns the packages with the C library of each processor. The dependencies of these
    /// packages are only needed for programs that load shared libraries.
    fn c_libraries(&self) -> impl Iterator<Item = String> {
        let gcc = self.gcc;
        ARCHITECTURES.into_iter().flat_map(move |architecture| {
            [format!("libc6-dev-{architecture}-cross"), format!("libgcc-{gcc}-dev-{architecture}-cross")]
        })
    }
}

/// Downloads and unpacks the packages, unless that was done before.
pub(super) fn prepare(sh: &Shell, debian: Debian) -> Result<Rust> {
    let directory = target_dir()?.join(DIRECTORY);
    let packages = Packages::of(debian);
    cached::directory(&directory, &format!("{packages:?}, {ARCHITECTURES:?}\n"), |new| {
        fill(sh, &packages, new)
    })?;
    Ok(Rust { directory })
}

fn fill(sh: &Shell, packages: &Packages, directory: &Path) -> Result<()> {
    network::check(sh)?;
    if unpack(sh, packages, directory).is_err() {
        // The package lists may be old, or, in a new container, missing.
        apt::update(sh)?;
        unpack(sh, packages, directory)?;
    }
    let rust = Rust { directory: directory.to_owned() };
    let source = rust.source().context("the package with the standard library's source has no source")?;
    for part in COMPILER_SOURCE {
        fs::remove_dir_all(source.join(part)).with_context(|| format!("rust-src has no {part}"))?;
    }
    for program in ["rustc", "cargo", "ld.lld-19"] {
        let version = rust.on(cmd!(sh, "{program} --version"));
        quietly(&format!("starting {program} once"), version)
            .with_context(|| format!("{program} does not start from its directory"))?;
    }
    Ok(())
}

fn unpack(sh: &Shell, packages: &Packages, directory: &Path) -> Result<()> {
    let listed: Vec<&str> = packages.programs.iter().copied().chain(packages.others).collect();
    let mut missing = apt::missing_dependencies(sh, &packages.programs)?;
    missing.retain(|name| !listed.iter().any(|listed| listed.split('=').next() == Some(name)));
    let names = listed.into_iter().map(str::to_owned).chain(missing).chain(packages.c_libraries());
    let names: Vec<String> = names.collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    debs::unpack(sh, "Rust 1.85 and emulators", &names, directory)
}

impl Rust {
    /// Returns a path among the unpacked files.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    /// Makes a command run the unpacked programs. All of these programs precede the machine's
    /// programs in `$PATH`.
    pub(crate) fn on<'s>(&self, command: Cmd<'s>) -> Cmd<'s> {
        let programs = self.path("usr/bin");
        let libraries = LIBRARIES.map(|path| self.path(path).display().to_string()).join(":");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("LD_LIBRARY_PATH", libraries)
            .env("RUSTC", programs.join("rustc"))
            .env("RUSTDOC", programs.join("rustdoc"))
    }

    /// Returns the directory of the compiler's and the standard library's source.
    fn source(&self) -> Option<PathBuf> {
        let mut entries =
            fs::read_dir(self.path("usr/src")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        entries.find(|path| path.join("library").is_dir())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_release_has_its_own_version_of_gccs_libraries() {
        let libraries = |debian| Packages::of(debian).c_libraries().collect::<Vec<_>>();
        assert_eq!(libraries(Debian::Bookworm)[..2], ["libc6-dev-arm64-cross", "libgcc-12-dev-arm64-cross"]);
        assert_eq!(libraries(Debian::Trixie)[9], "libgcc-14-dev-i386-cross");
    }
}
