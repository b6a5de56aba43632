//! QEMU: the one that a `$PATH` finds, which may not be the packaged one.

use anyhow::{Result, bail};

use crate::command::{command, output};

const QEMU: &str = "qemu-system-x86_64";
/// What the guest gets its sound through.
const DEVICE: &str = "vhost-user-snd-pci";

/// Checks that QEMU can connect a guest to snd-host.
pub(super) fn check() -> Result<()> {
    let devices = output(&mut command([QEMU, "-device", "help"]))?;
    if !devices.contains(DEVICE) {
        bail!("{QEMU} {} has no {DEVICE}; the one first in $PATH has to be 9.0 or newer", version()?);
    }
    Ok(())
}

/// QEMU's version.
pub(crate) fn version() -> Result<String> {
    let text = output(&mut command([QEMU, "--version"]))?;
    let version = text.lines().next().and_then(|line| line.split_whitespace().nth(3));
    Ok(version.unwrap_or("of unknown version").to_owned())
}
