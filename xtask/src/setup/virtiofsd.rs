//! virtiofsd, for tests: a package that is unpacked but not installed on Debian 13, and built from
//! its crate on Debian 12.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::{VIRTIOFSD, target_dir};
use xshell::{Shell, cmd};

use super::debian::Debian;
use super::{apt, crates, debs, network};
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
    match debian {
        Debian::Trixie => {
            // The program is `bin/virtiofsd` in the directory.
            let directory = program.ancestors().nth(2);
            let directory = directory.context("the path of virtiofsd has too few directories")?;
            cached::directory(directory, PACKAGED, |new| unpack(sh, new))
        }
        Debian::Bookworm => crates::prepare(sh, &program, VERSION),
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
