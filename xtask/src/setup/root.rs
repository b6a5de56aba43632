//! Commands that need root.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use xshell::{Cmd, Shell, cmd};

use super::network::BOUNDED;

/// The longest time that a command waits for another process that installs packages.
pub(super) const LOCKED_FOR: Duration = Duration::from_secs(300);

/// Returns an apt-get command without arguments, to be run as root. The command waits for another
/// process that installs packages.
pub(super) fn apt_get(sh: &Shell) -> Result<Cmd<'_>> {
    let wait = format!("DPkg::Lock::Timeout={}", LOCKED_FOR.as_secs());
    as_root(sh, cmd!(sh, "env LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive apt-get {BOUNDED...} -o {wait}"))
}

/// Adds sudo to a command, unless this process is root.
pub(super) fn as_root<'s>(sh: &'s Shell, command: Cmd<'s>) -> Result<Cmd<'s>> {
    if rustix::process::geteuid().is_root() {
        return Ok(command);
    }
    if !["/usr/bin/sudo", "/bin/sudo"].iter().any(|path| fs::exists(path).unwrap_or(false)) {
        bail!("installing packages needs root; run the task as root, or install sudo");
    }
    let command = std::process::Command::from(command);
    Ok(cmd!(sh, "sudo").arg(command.get_program()).args(command.get_args()))
}
