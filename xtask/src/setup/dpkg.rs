//! Completes installations that were interrupted.

use std::fs;

use anyhow::Result;
use xshell::{Shell, cmd};

use super::lock;
use super::root::{apt_get, as_root};
use crate::command::{captured, quietly};

/// dpkg's journal: files with numbers as names, which a complete installation removes.
const JOURNAL: &str = "/var/lib/dpkg/updates";

/// Completes an interrupted installation, which would make every later installation fail.
pub(super) fn complete(sh: &Shell) -> Result<()> {
    // Packages that another process is installing look interrupted, too.
    lock::wait()?;
    if !is_interrupted(sh)? {
        return Ok(());
    }
    println!("an earlier installation of packages was interrupted; completing it first");
    let configure = cmd!(sh, "env LC_ALL=C DEBIAN_FRONTEND=noninteractive dpkg --configure -a");
    let (success, _) = captured("completing the interrupted installation", as_root(sh, configure)?)?;
    if success {
        return Ok(());
    }
    // A package that dpkg had not unpacked yet is missing. apt fetches the package, and waits for
    // another process that has started to install packages meanwhile.
    let fix = apt_get(sh)?.args(["install", "--fix-broken", "--no-remove", "--yes"]);
    quietly("repairing the interrupted installation", fix)
}

/// Returns whether dpkg would have to configure packages or to apply its journal.
fn is_interrupted(sh: &Shell) -> Result<bool> {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let journal = fs::read_dir(JOURNAL).into_iter().flatten().flatten();
    if journal.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_number)) {
        return Ok(true);
    }
    Ok(!cmd!(sh, "dpkg --audit").ignore_status().read()?.is_empty())
}
