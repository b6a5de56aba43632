//! Restriction of the files that can be written (landlock).

use std::env;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope,
};

use super::{SandboxError, parent};

/// The newest version whose rules are used. An older kernel enforces the rules that it supports.
const VERSION: ABI = ABI::V6;

/// Paths that sinks need: devices, and memory shared with a sound server.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/shm", "/dev/snd"];

/// The paths where the process keeps the right to write.
#[derive(Clone, Copy, Debug)]
pub struct Writable<'a> {
    /// The directories given with `--writable`.
    pub given: &'a [PathBuf],
}

impl Writable<'_> {
    /// Returns all paths below which files can be written.
    pub fn dirs(&self) -> Vec<PathBuf> {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        DEVICES.iter().map(PathBuf::from).chain(runtime).chain(self.given.iter().cloned()).collect()
    }
}

/// Takes from this thread all rights to files that are not open, except to remove `socket` from its
/// directory. Returns false if the kernel does not support that.
pub(super) fn restrict_to_socket(socket: Option<&Path>) -> Result<bool, SandboxError> {
    // A directory that does not exist any more needs no rule.
    let directory = socket.and_then(|path| PathFd::new(parent(path)).ok());
    let rule =
        directory.map(|directory| Ok::<_, RulesetError>(PathBeneath::new(directory, AccessFs::RemoveFile)));
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(rule)?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Takes from this thread the rights to write elsewhere, to execute files, and to send signals to
/// other processes. Returns false if the kernel does not support that.
pub(super) fn restrict(writable: &Writable<'_>) -> Result<bool, SandboxError> {
    let writes = AccessFs::from_write(VERSION);
    for path in writable.given {
        PathFd::new(path).map_err(|source| SandboxError::Writable { path: path.clone(), source })?;
    }
    let rule = |path: PathBuf, access: BitFlags<AccessFs>| {
        // Paths that do not exist are skipped: no sink needs all of them.
        let file = PathFd::new(&path).ok()?;
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(VERSION) };
        Some(Ok::<_, RulesetError>(PathBeneath::new(file, access)))
    };
    let dirs = writable.dirs().into_iter().filter_map(|dir| rule(dir, writes));
    let status = Ruleset::default()
        .handle_access(writes | AccessFs::Execute)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(dirs)?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
