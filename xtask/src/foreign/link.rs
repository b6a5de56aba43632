//! How cargo builds, links and runs programs for other processors.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::target_dir;
use xshell::Cmd;

use super::targets::Target;
use crate::setup::Rust;

/// The options of the compiler. Emulation is slow: optimised tests save more time than the compiler
/// takes to optimise. Only ring-core, its tests and the standard library take time.
const PROFILE: [&str; 7] = [
    "opt-level=1",
    "debug=false",
    "incremental=false",
    "package.'*'.opt-level=0",
    "package.core.opt-level=1",
    "package.alloc.opt-level=1",
    "package.std.opt-level=1",
];

/// The part of the standard library that is built with a program.
#[derive(Debug, Clone, Copy)]
pub(super) enum Library {
    Core,
    Std,
}

impl Library {
    fn option(self) -> &'static str {
        match self {
            Self::Core => "-Zbuild-std=core",
            Self::Std => "-Zbuild-std",
        }
    }
}

/// Returns cargo's target directory. Another compiler's files go beside this workspace's.
pub(super) fn build_directory() -> Result<PathBuf> {
    Ok(target_dir()?.join("foreign"))
}

/// Makes cargo run with Rust 1.85, and with the machine's settings for registries.
pub(super) fn on<'s>(rust: &Rust, cargo: Cmd<'s>) -> Result<Cmd<'s>> {
    Ok(rust.on(cargo).env("CARGO_TARGET_DIR", build_directory()?).env_remove("RUSTFLAGS"))
}

impl Target {
    /// Makes cargo link programs for this processor, and run them in the emulator.
    ///
    /// The programs are static: an emulator then needs no directory with shared libraries. LLVM's
    /// linker serves all processors but, unlike GCC, does not know where the C library is.
    pub(super) fn on<'s>(&self, rust: &Rust, cargo: Cmd<'s>, library: Library) -> Result<Cmd<'s>> {
        let flags = self.link_flags(rust)?.join("\u{1f}");
        let runner = format!("CARGO_TARGET_{}_RUNNER", self.triple.replace('-', "_").to_uppercase());
        Ok(on(rust, cargo)?
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            .env(runner, self.emulator(rust)?)
            // Unstable options build the standard library, and put files before the program's.
            .env("RUSTC_BOOTSTRAP", "1")
            .args(PROFILE.map(|option| format!("--config=profile.dev.{option}")))
            .args(["--target", self.triple, library.option()]))
    }

    /// Returns the options with which rustc links as `gcc -static` would.
    fn link_flags(&self, rust: &Rust) -> Result<Vec<String>> {
        let c = rust.path("usr").join(self.gnu).join("lib");
        let gcc = only_entry(rust.path("usr/lib/gcc-cross").join(self.gnu))?;
        let [crt1, crti, crtn] = ["crt1.o", "crti.o", "crtn.o"].map(|file| c.join(file));
        let [begin, end] = ["crtbeginT.o", "crtend.o"].map(|file| gcc.join(file));
        let mut flags = ["-Clinker=ld.lld-19", "-Clinker-flavor=ld.lld"].map(str::to_owned).to_vec();
        flags.extend(["-Ctarget-feature=+crt-static", "-Crelocation-model=static"].map(str::to_owned));
        flags.extend([&c, &gcc].map(|directory| format!("-L{}", directory.display())));
        flags.extend([crt1, crti, begin].map(|file| format!("-Zpre-link-arg={}", file.display())));
        flags.extend([end, crtn].map(|file| format!("-Clink-arg={}", file.display())));
        Ok(flags)
    }

    /// Returns the name of the emulator, which `$PATH` finds.
    fn emulator(&self, rust: &Rust) -> Result<String> {
        // Debian 12 adds "static" to the names of static emulators. All emulators of Debian 13 are
        // static.
        let mut names = ["", "-static"].map(|suffix| format!("qemu-{}{suffix}", self.qemu)).into_iter();
        let name = names.find(|name| rust.path("usr/bin").join(name).is_file());
        name.with_context(|| format!("the unpacked packages have no emulator of {}", self.name))
    }
}

/// Returns the path of the only entry of a directory.
fn only_entry(directory: PathBuf) -> Result<PathBuf> {
    let entry = fs::read_dir(&directory).ok().and_then(|mut entries| entries.next());
    Ok(entry.with_context(|| format!("{} is missing or empty", directory.display()))??.path())
}
