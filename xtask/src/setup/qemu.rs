//! The QEMU that `$PATH` finds, which is not necessarily that of the package.

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

const QEMU: &str = "qemu-system-x86_64";
/// The device that connects a guest to snd-host.
const DEVICE: &str = "vhost-user-snd-pci";

/// Checks that QEMU can connect a guest to snd-host.
pub(super) fn check(sh: &Shell) -> Result<()> {
    let devices = cmd!(sh, "{QEMU} -device help").read()?;
    if !devices.contains(DEVICE) {
        bail!("{QEMU} {} has no {DEVICE}; put version 9.0 or newer first in $PATH", version(sh)?);
    }
    Ok(())
}

/// Returns QEMU's version.
pub(crate) fn version(sh: &Shell) -> Result<String> {
    let text = cmd!(sh, "{QEMU} --version").read()?;
    let version = text.lines().next().and_then(|line| line.split_whitespace().nth(3));
    Ok(version.unwrap_or("of unknown version").to_owned())
}
