//! virtiofsd: from a package on Debian 13, built from its crate on Debian 12.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::{VIRTIOFSD, target_dir};
use xshell::{Shell, cmd};

use super::debian::Debian;
use crate::cached;

/// The version to build.
const VERSION: &str = "1.14.0";
/// The program of the package.
const PACKAGED: &str = "/usr/libexec/virtiofsd";

/// Puts virtiofsd where [`end_to_end::artifacts::virtiofsd`] finds it.
pub(super) fn prepare(sh: &Shell, debian: Debian) -> Result<()> {
    let program = target_dir()?.join(VIRTIOFSD);
    // The program is `bin/virtiofsd` in the directory.
    let directory = program.ancestors().nth(2).context("the path of virtiofsd has too few directories")?;
    match debian {
        Debian::Trixie => cached::directory(directory, PACKAGED, link),
        Debian::Bookworm => cached::directory(directory, VERSION, |new| build(sh, new)),
    }
}

fn link(directory: &Path) -> Result<()> {
    fs::create_dir(directory.join("bin"))?;
    symlink(PACKAGED, directory.join("bin/virtiofsd"))?;
    Ok(())
}

fn build(sh: &Shell, directory: &Path) -> Result<()> {
    // A target directory of its own keeps the build apart from the project's.
    let objects = directory.join("build");
    let install = cmd!(sh, "cargo install virtiofsd --version {VERSION} --locked --root {directory}");
    let install = install.args(["--target-dir".as_ref(), objects.as_os_str()]);
    // cargo's output shows the progress.
    install.run().context("cannot build virtiofsd; cargo's reason is above")?;
    fs::remove_dir_all(objects)?;
    Ok(())
}
