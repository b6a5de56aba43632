//! Completes installations that were interrupted.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use xshell::{Shell, cmd};

use super::root::{LOCKED_FOR, apt_get, as_root};
use crate::command::{captured, quietly};

/// dpkg's journal: files with numbers as names, which a complete installation removes.
const JOURNAL: &str = "/var/lib/dpkg/updates";
/// dpkg's message when another process installs packages. The last word is the process id.
const LOCKED: &str = " was locked by ";
/// The time between two attempts to lock. dpkg itself does not wait.
const ATTEMPT_EVERY: Duration = Duration::from_secs(2);

/// Completes an interrupted installation, which would make every later installation fail.
pub(super) fn complete(sh: &Shell) -> Result<()> {
    let deadline = Instant::now() + LOCKED_FOR;
    // Packages that another process is installing look interrupted, too.
    while is_interrupted(sh)? {
        let configure = cmd!(sh, "env LC_ALL=C DEBIAN_FRONTEND=noninteractive dpkg --configure -a");
        let (success, output) = captured("completing an interrupted installation", as_root(sh, configure)?)?;
        match lock_owner(&output) {
            _ if success => break,
            Some(owner) if Instant::now() < deadline => {
                println!("waiting for process {owner}, which is installing packages");
                thread::sleep(ATTEMPT_EVERY);
            }
            Some(owner) => bail!("process {owner} still installs packages; run the task again when it ends"),
            // A package that dpkg had not unpacked yet is missing. apt fetches the package.
            None => {
                let fix = apt_get(sh)?.args(["install", "--fix-broken", "--no-remove", "--yes"]);
                return quietly("repairing an interrupted installation", fix);
            }
        }
    }
    Ok(())
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

/// Returns the id of the process that has locked dpkg's files, from dpkg's output.
fn lock_owner(output: &str) -> Option<&str> {
    output.lines().find(|line| line.contains(LOCKED))?.split_whitespace().next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_installs_packages_is_named() {
        let output = "dpkg: error: dpkg frontend lock was locked by another process with pid 4711\n\
                      Note: removing the lock file is always wrong, can damage the locked area\n";
        assert_eq!(lock_owner(output), Some("4711"));
        assert_eq!(lock_owner("dpkg: error processing package x (--configure):\n"), None);
    }
}
