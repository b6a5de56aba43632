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

/// The package with testpmd. It depends on the packages of all libraries and drivers.
const PACKAGE: &str = "dpdk-dev";

/// Downloads and unpacks testpmd, and the libraries and drivers that are not installed, unless that
/// was done before.
pub(super) fn prepare(sh: &Shell, debian: Debian) -> Result<()> {
    let directory = target_dir()?.join(Dpdk::DIRECTORY);
    cached::directory(&directory, &format!("{debian:?}, {PACKAGE}\n"), |new| fill(sh, new))
}

fn fill(sh: &Shell, directory: &Path) -> Result<()> {
    network::check(sh)?;
    if unpack(sh, directory).is_err() {
        // The package lists may be old, or, in a new container, missing.
        apt::update(sh)?;
        unpack(sh, directory)?;
    }
    let dpdk = Dpdk::within(directory);
    let (program, libraries) = (&dpdk.program, &dpdk.libraries);
    let help = cmd!(sh, "{program} --help").env("LD_LIBRARY_PATH", libraries);
    quietly("starting testpmd once", help).context("testpmd does not start from its directory")
}

fn unpack(sh: &Shell, directory: &Path) -> Result<()> {
    let mut names = apt::missing_dependencies(sh, &[PACKAGE])?;
    names.retain(|name| is_run(name));
    names.push(PACKAGE.to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    debs::unpack(sh, "DPDK", &names, directory)
}

/// Whether a dependency has files that testpmd runs, rather than what a program is built with or a
/// script needs.
fn is_run(name: &str) -> bool {
    !name.ends_with("-dev") && !name.contains("python3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_builds_and_scripts_need_is_not_unpacked() {
        let names = ["librte-eal23", "libdpdk-dev", "libpython3.11-stdlib", "python3-minimal", "libnuma1"];
        let run: Vec<&str> = names.into_iter().filter(|name| is_run(name)).collect();
        assert_eq!(run, ["librte-eal23", "libnuma1"]);
    }
}
