//! PulseAudio, for tests: Debian packages, unpacked but not installed.
//!
//! PulseAudio is not installed, because its installation would remove pipewire-audio, a desktop's
//! sound server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use end_to_end::artifacts::{PulseAudio, target_dir};
use xshell::{Shell, cmd};

use super::debian::Debian;
use super::{apt, debs, network};
use crate::cached;
use crate::command::quietly;

/// The server and its clients, and the libraries that no other package of the tests needs.
/// libpulse0 has private symbols and must have the server's version.
const PACKAGES: [&str; 8] = [
    "pulseaudio",
    "pulseaudio-utils",
    "libpulse0",
    "libltdl7",
    "libsoxr0",
    "libspeexdsp1",
    "libtdb1",
    "libwrap0",
];

/// Downloads and unpacks PulseAudio, unless that was done before.
pub(super) fn prepare(sh: &Shell, debian: Debian) -> Result<()> {
    let directory = target_dir()?.join(PulseAudio::DIRECTORY);
    cached::directory(&directory, &format!("{debian:?}, {PACKAGES:?}\n"), |new| fill(sh, new))
}

fn fill(sh: &Shell, directory: &Path) -> Result<()> {
    network::check(sh)?;
    if debs::unpack(sh, "PulseAudio", &PACKAGES, directory).is_err() {
        // The package lists may be old, or, in a new container, missing.
        apt::update(sh)?;
        debs::unpack(sh, "PulseAudio", &PACKAGES, directory)?;
    }
    let server = PulseAudio::within(directory);
    fs::rename(modules(directory)?, &server.modules)?;
    let (program, libraries) = (&server.program, server.libraries());
    let version = cmd!(sh, "{program} --version").env("LD_LIBRARY_PATH", libraries);
    quietly("starting PulseAudio once", version).context("PulseAudio does not start from its directory")
}

/// Returns the directory of the server's modules. Its name contains the version.
fn modules(directory: &Path) -> Result<PathBuf> {
    let mut versions = fs::read_dir(directory.join("usr/lib"))?.filter_map(|entry| Some(entry.ok()?.path()));
    let modules = versions.find_map(|path| Some(path.join("modules")).filter(|modules| modules.is_dir()));
    modules.context("the package pulseaudio has no modules")
}
