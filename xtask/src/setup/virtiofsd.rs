//! virtiofsd: Debian 13 has a package, for Debian 12 it is built.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::{VIRTIOFSD, target_dir};

use super::debian::Debian;
use crate::cached;
use crate::command::{command, quietly};

/// The version that is built.
const VERSION: &str = "1.14.0";
/// Where the package has it.
const PACKAGED: &str = "/usr/libexec/virtiofsd";

/// Puts virtiofsd where [`end_to_end::artifacts::virtiofsd`] finds it, unless it is there.
pub(super) fn prepare(debian: Debian) -> Result<()> {
    let program = target_dir()?.join(VIRTIOFSD);
    // `bin/virtiofsd` in it.
    let directory = program.ancestors().nth(2).context("virtiofsd has no directory of its own")?;
    match debian {
        Debian::Trixie => cached::directory(directory, PACKAGED, link),
        Debian::Bookworm => cached::directory(directory, VERSION, build),
    }
}

fn link(directory: &Path) -> Result<()> {
    fs::create_dir(directory.join("bin"))?;
    symlink(PACKAGED, directory.join("bin/virtiofsd"))?;
    Ok(())
}

fn build(directory: &Path) -> Result<()> {
    let mut install = command(["cargo", "install", "virtiofsd", "--version", VERSION, "--locked", "--root"]);
    // What is built on the way goes with the temporary directory, and does not mix with the project's own.
    install.arg(directory).env("CARGO_TARGET_DIR", directory.join("build"));
    quietly("building virtiofsd", &mut install)
        .context("virtiofsd cannot be built, perhaps for want of a network")?;
    fs::remove_dir_all(directory.join("build"))?;
    Ok(())
}
