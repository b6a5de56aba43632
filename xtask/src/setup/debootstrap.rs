//! A bare Debian in a directory, in which packages can be installed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::target_dir;
use xshell::{Shell, cmd};

use super::debian::Debian;
use super::packages::Purpose;
use super::{apt, debs, machine, network};
use crate::cached;
use crate::command::quietly;

/// The directory of the system, relative to the target directory.
const DIRECTORY: &str = "bare-system";
/// What the system has besides the packages without which no Debian works.
const INCLUDED: &str = "ca-certificates,man-db,systemd";

/// The release of the system. Packages from the older release work on the newer one.
const RELEASE: Debian = Debian::Trixie;

/// Makes a system, unless that was done before. Returns the system's root directory.
pub(crate) fn prepare(sh: &Shell) -> Result<PathBuf> {
    if !rustix::process::geteuid().is_root() {
        bail!("installing packages in a bare system needs root; run the task as root");
    }
    let machine = machine::release(Purpose::Test)?;
    let directory = target_dir()?.join(DIRECTORY);
    cached::directory(&directory, &format!("{RELEASE:?}, {INCLUDED}\n"), |new| fill(sh, new, machine))?;
    Ok(root(&directory))
}

fn root(directory: &Path) -> PathBuf {
    directory.join("root")
}

fn fill(sh: &Shell, directory: &Path, machine: Debian) -> Result<()> {
    network::check(sh)?;
    let (suite, known) = (RELEASE.suite(), machine.suite());
    // A mirror has all releases.
    let mirror = apt::repository(sh, known)?;
    let mirror = mirror.with_context(|| format!("no package source of this machine has {known}"))?;
    // The program is not installed: it runs from any directory.
    let unpacked = directory.join("debootstrap");
    std::fs::create_dir(&unpacked)?;
    if debs::unpack(sh, "debootstrap", &["debootstrap"], &unpacked).is_err() {
        apt::update(sh)?;
        debs::unpack(sh, "debootstrap", &["debootstrap"], &unpacked)?;
    }
    let (program, scripts) = (unpacked.join("usr/sbin/debootstrap"), unpacked.join("usr/share/debootstrap"));
    let root = root(directory);
    let make = cmd!(sh, "{program} --variant=minbase --include={INCLUDED} {suite} {root} {mirror}");
    quietly("making a bare Debian", make.env("DEBOOTSTRAP_DIR", scripts))
}
