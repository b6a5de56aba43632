//! A copy of a bare Debian. A test installs packages in the copy, and the copy is removed at the
//! end.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use end_to_end::daemon::Daemon;
use tempfile::TempDir;
use xshell::{Cmd, Shell, cmd};

use crate::command::quietly;
use crate::setup;

/// The environment of commands in the system.
const ENVIRONMENT: [&str; 4] =
    ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"];
/// Snapshots of Debian's archive are accepted although their signatures may have expired.
const APT: [&str; 5] =
    ["apt-get", "-o", "Acquire::Check-Valid-Until=false", "-o", "Acquire::Check-Date=false"];

/// The copy.
#[derive(Debug)]
pub(super) struct BareSystem<'s> {
    sh: &'s Shell,
    directory: TempDir,
}

impl<'s> BareSystem<'s> {
    /// Copies the bare Debian, which is made first if necessary.
    pub(super) fn copy(sh: &'s Shell) -> Result<Self> {
        let original = setup::bare_system(sh)?;
        let beside = original.parent().context("the bare system is in a directory")?;
        let directory = tempfile::tempdir_in(beside)?;
        let system = Self { sh, directory };
        let root = system.path("");
        quietly("copying the bare Debian", cmd!(sh, "cp --archive --reflink=auto {original} {root}"))?;
        system.apt(&["update"])?;
        Ok(system)
    }

    /// Returns the path of the system's file on this machine.
    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join("root").join(file.trim_start_matches('/'))
    }

    /// Returns a command that runs in the system. Only `/proc` is mounted, and all processes of the
    /// command end with it.
    pub(super) fn command(&self, words: &[&str]) -> Cmd<'s> {
        let root = self.path("");
        let namespace = cmd!(self.sh, "unshare --mount --pid --fork --kill-child --mount-proc --root={root}");
        namespace.args(["env", "--ignore-environment"]).args(ENVIRONMENT).args(words)
    }

    /// Runs apt-get in the system.
    pub(super) fn apt(&self, arguments: &[&str]) -> Result<()> {
        quietly(&format!("apt-get {}", arguments.join(" ")), self.command(&[&APT[..], arguments].concat()))
    }

    /// Starts a script for the first connection to a socket, as systemd does, and waits until the
    /// socket listens.
    pub(super) fn activate(&self, socket: &str, script: &str) -> Result<Daemon> {
        let listen = format!("--listen={socket}");
        let command = self.command(&["systemd-socket-activate", &listen, "/bin/sh", "-c", script]);
        eprintln!("$ {command}");
        let command = Command::from(command);
        let arguments: Vec<OsString> = command.get_args().map(OsString::from).collect();
        Ok(Daemon::start_with(Path::new(command.get_program()), Path::new(socket), arguments)?)
    }
}
