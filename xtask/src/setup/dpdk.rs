//! DPDK's testpmd, for tests: Debian packages, unpacked but not installed.
//!
//! DPDK is not installed, because its packages are more than those of all other tools together.

use std::path::Path;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::{Dpdk, target_dir};
use xshell::{Shell, cmd};

use super::debian::Debian;
use super::{apt, debs, network};
use crate::cached;
use crate::command::quietly;

/// The package with testpmd. The packages that it depends on cannot always be installed: some are
/// only for building, and need older libraries than the QEMU of Debian 12's backports.
const PROGRAM: &str = "dpdk-dev";
/// The package that depends on all libraries and drivers.
const LIBRARIES: &str = "librte-meta-all";

/// Downloads and unpacks testpmd, and the libraries and drivers that are not installed, unless
/// exactly these packages were unpacked before.
pub(super) fn prepare(sh: &Shell, debian: Debian) -> Result<()> {
    let directory = target_dir()?.join(Dpdk::DIRECTORY);
    let packages = packages(sh)?;
    cached::directory(&directory, &format!("{debian:?}, {packages:?}\n"), |new| fill(sh, &packages, new))
}

/// Returns the packages to unpack.
fn packages(sh: &Shell) -> Result<Vec<String>> {
    let libraries = apt::missing_dependencies(sh, &[LIBRARIES]).or_else(|_| {
        // The package lists may be missing, as in a new container.
        apt::update(sh)?;
        apt::missing_dependencies(sh, &[LIBRARIES])
    })?;
    Ok(libraries.into_iter().chain([PROGRAM.to_owned()]).collect())
}

fn fill(sh: &Shell, packages: &[String], directory: &Path) -> Result<()> {
    network::check(sh)?;
    let names: Vec<&str> = packages.iter().map(String::as_str).collect();
    if debs::unpack(sh, "DPDK", &names, directory).is_err() {
        // The package lists may be old.
        apt::update(sh)?;
        debs::unpack(sh, "DPDK", &names, directory)?;
    }
    let dpdk = Dpdk::within(directory);
    let (program, libraries) = (&dpdk.program, &dpdk.libraries);
    let help = cmd!(sh, "{program} --help").env("LD_LIBRARY_PATH", libraries);
    quietly("starting testpmd once", help).context("testpmd does not start from its directory")
}
