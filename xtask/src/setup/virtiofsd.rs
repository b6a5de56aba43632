//! virtiofsd, for tests: a package that is unpacked but not installed on Debian 13, and built from
//! its crate on Debian 12.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::{VIRTIOFSD, target_dir};
use xshell::{Shell, cmd};

use super::debian::Debian;
use super::{apt, debs, network};
use crate::cached;
use crate::command::quietly;

/// The version to build.
const VERSION: &str = "1.14.0";
/// The package of Debian 13, and its program.
const PACKAGE: &str = "virtiofsd";
const PACKAGED: &str = "usr/libexec/virtiofsd";

/// Puts virtiofsd where [`end_to_end::artifacts::virtiofsd`] finds it.
pub(super) fn prepare(sh: &Shell, debian: Debian) -> Result<()> {
    let program = target_dir()?.join(VIRTIOFSD);
    // The program is `bin/virtiofsd` in the directory.
    let directory = program.ancestors().nth(2).context("the path of virtiofsd has too few directories")?;
    match debian {
        Debian::Trixie => cached::directory(directory, PACKAGED, |new| unpack(sh, new)),
        Debian::Bookworm => cached::directory(directory, VERSION, |new| build(sh, new)),
    }
}

fn unpack(sh: &Shell, directory: &Path) -> Result<()> {
    network::check(sh)?;
    if debs::unpack(sh, PACKAGE, &[PACKAGE], directory).is_err() {
        // The package lists may be old, or, in a new container, missing.
        apt::update(sh)?;
        debs::unpack(sh, PACKAGE, &[PACKAGE], directory)?;
    }
    fs::create_dir(directory.join("bin"))?;
    let program = directory.join("bin/virtiofsd");
    symlink(Path::new("..").join(PACKAGED), &program)?;
    let version = cmd!(sh, "{program} --version");
    quietly("starting virtiofsd once", version).context("virtiofsd does not start from its directory")
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
