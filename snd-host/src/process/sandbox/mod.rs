//! What this process gives up before it meets a guest.
//!
//! The guest's bytes pass through this program and then through whatever elements the user has put into the
//! pipeline. If a guest finds a bug in one of them, it should find little else: no program can be started
//! and no file be written but where audio goes. `calls` and `files` say what is given up, and README.md what
//! that stops and what not.

mod calls;
mod files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

pub(crate) use files::Writable;

/// Why the sandbox cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A directory that shall be writable is not there.
    #[error("--writable: {} cannot be opened: {source}", path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: landlock::PathFdError,
    },
    /// The kernel has landlock, and refuses the rules.
    #[error("landlock: {0}; --no-sandbox does without")]
    Files(#[from] landlock::RulesetError),
    /// The kernel refuses the filter.
    #[error("seccomp: {0}; --no-sandbox does without")]
    Calls(#[from] seccompiler::Error),
    /// The filter cannot be made.
    #[error("seccomp: {0}; --no-sandbox does without")]
    Filter(#[from] seccompiler::BackendError),
    /// Some threads would be left outside.
    #[error("{0} threads run already, and the sandbox would hold one; --no-sandbox does without")]
    Threads(usize),
    /// The threads of this process cannot be counted.
    #[error("the threads of this process cannot be counted: {0}")]
    Count(io::Error),
}

/// Gives up for this process what playing does not need. There is no way back.
///
/// A process that is not sandboxed as a whole is not sandboxed, so this has to come before any thread.
pub(crate) fn enter(writable: &Writable<'_>) -> Result<(), SandboxError> {
    match fs::read_dir("/proc/self/task").map_err(SandboxError::Count)?.count() {
        1 => confine(writable),
        threads => Err(SandboxError::Threads(threads)),
    }
}

/// Confines this thread, and all that it will start.
fn confine(writable: &Writable<'_>) -> Result<(), SandboxError> {
    let dirs = writable.dirs();
    let shown = || dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
    if files::restrict(writable)? {
        info!("sandboxed: no programs, and files written only below {}", shown());
    } else {
        warn!("sandboxed in part: this kernel has no landlock, so that files can be written anywhere");
    }
    calls::restrict()
}

/// The directory that holds `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Runs `test` in a thread that is confined; the others are not.
    fn confined(writable: &[PathBuf], socket: Option<&Path>, test: impl FnOnce() + Send) {
        thread::scope(|scope| {
            scope.spawn(|| {
                confine(&Writable { given: writable, socket }).unwrap();
                test();
            });
        });
    }

    #[test]
    fn no_program_is_started() {
        confined(&[], None, || {
            let error = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        });
        assert!(Command::new("/bin/true").status().unwrap().success());
    }

    #[test]
    fn threads_are_started() {
        confined(&[], None, || assert_eq!(thread::spawn(|| 7).join().unwrap(), 7));
    }

    #[test]
    fn files_are_written_only_where_that_is_allowed() {
        let [here, there] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let old = there.path().join("old");
        fs::write(&old, "old").unwrap();
        confined(&[here.path().to_owned()], None, || {
            fs::write(here.path().join("new"), "new").unwrap();
            fs::create_dir(here.path().join("directory")).unwrap();
            let denied = [
                File::create(there.path().join("new")).map(drop),
                File::options().append(true).open(&old).map(drop),
                fs::remove_file(&old),
                fs::rename(&old, there.path().join("other")),
                fs::create_dir(there.path().join("directory")),
            ];
            for result in denied {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
            assert_eq!(fs::read_to_string(&old).unwrap(), "old");
        });
    }

    #[test]
    fn without_landlock_the_rest_is_given_up() {
        let there = tempfile::tempdir().unwrap();
        let without = BTreeMap::from([(libc::SYS_landlock_create_ruleset, Vec::new())]);
        thread::scope(|scope| {
            scope.spawn(|| {
                calls::install(without, libc::ENOSYS).unwrap();
                confine(&Writable { given: &[], socket: None }).unwrap();
                assert!(Command::new("/bin/true").spawn().is_err());
                fs::write(there.path().join("new"), "new").unwrap();
            });
        });
    }

    #[test]
    fn the_socket_can_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        confined(&[], Some(&socket), || {
            fs::remove_file(&socket).unwrap();
            assert!(File::create(&socket).is_err());
        });
    }

    #[test]
    fn a_process_with_threads_is_not_taken_for_sandboxed() {
        // The one that runs this test, and the one that waits for it.
        let entered = enter(&Writable { given: &[], socket: None });
        assert!(matches!(entered, Err(SandboxError::Threads(2..))), "{entered:?}");
    }

    #[test]
    fn the_directory_of_a_path_without_one_is_this_one() {
        assert_eq!(parent(Path::new("socket")), Path::new("."));
        assert_eq!(parent(Path::new("/run/socket")), Path::new("/run"));
    }
}
