//! Where files may be written (landlock).

use std::env;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus, Scope,
};

use super::{SandboxError, parent};

/// The newest version whose rules are used. An older kernel enforces those that it knows.
const VERSION: ABI = ABI::V6;

/// What sinks of every kind need: devices, memory to share with a sound server, and the place of its files.
const DEVICES: [&str; 3] = ["/dev/null", "/dev/shm", "/dev/snd"];

/// Where this process may go on writing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writable<'a> {
    /// Directories that the user has named.
    pub(crate) given: &'a [PathBuf],
    /// The socket that is to be removed in the end.
    pub(crate) socket: Option<&'a Path>,
}

impl Writable<'_> {
    /// All directories in which anything may be written.
    pub(super) fn dirs(&self) -> Vec<PathBuf> {
        let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        DEVICES.iter().map(PathBuf::from).chain(runtime).chain(self.given.iter().cloned()).collect()
    }
}

/// Takes the right to write elsewhere from this thread, and the right to execute anything; and to send
/// signals to other processes. Returns false if the kernel cannot.
pub(super) fn restrict(writable: &Writable<'_>) -> Result<bool, SandboxError> {
    let writes = AccessFs::from_write(VERSION);
    for path in writable.given {
        PathFd::new(path).map_err(|source| SandboxError::Writable { path: path.clone(), source })?;
    }
    let rule = |path: PathBuf, access: BitFlags<AccessFs>| {
        // What is not there is what sinks of another kind would need.
        let file = PathFd::new(&path).ok()?;
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(VERSION) };
        Some(Ok::<_, RulesetError>(PathBeneath::new(file, access)))
    };
    let dirs = writable.dirs().into_iter().filter_map(|dir| rule(dir, writes));
    let socket = writable.socket.and_then(|path| rule(parent(path).to_owned(), AccessFs::RemoveFile.into()));
    let status = Ruleset::default()
        .handle_access(writes | AccessFs::Execute)?
        .scope(Scope::Signal)?
        .create()?
        .add_rules(dirs.chain(socket))?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
