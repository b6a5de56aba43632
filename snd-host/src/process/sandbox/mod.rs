//! The rights that the processes give up before they serve a guest.
//!
//! The card process has guest memory. It keeps a list of system calls (`card_calls`), and no access
//! to files except the removal of its own socket. The bytes of a guest pass through the audio
//! process and through the elements of the user's pipeline, which need more: that process gives up
//! a list of system calls (`audio_calls`), and the right to write files except those of the sink
//! (`files`). README.md lists what the sandboxes stop and what they do not.

mod audio_calls;
mod card_calls;
mod files;
mod filter;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tracing::{info, warn};

pub use files::Writable;

/// The error for a sandbox that cannot be entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A directory given with `--writable` cannot be opened.
    #[error("--writable: cannot open {}: {source}", path.display())]
    Writable {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: landlock::PathFdError,
    },
    /// The kernel supports landlock, and refuses the rules.
    #[error("cannot restrict files with landlock: {0}; use --no-sandbox to skip")]
    Files(#[from] landlock::RulesetError),
    /// The kernel refuses the seccomp filter.
    #[error("cannot restrict system calls with seccomp: {0}; use --no-sandbox to skip")]
    Calls(#[from] seccompiler::Error),
    /// The seccomp filter cannot be compiled.
    #[error("cannot compile the seccomp filter: {0}; use --no-sandbox to skip")]
    Filter(#[from] seccompiler::BackendError),
    /// The process has several threads, and the sandbox would not cover all.
    #[error("{0} threads are running and the sandbox would cover only one; use --no-sandbox to skip")]
    Threads(usize),
    /// The threads of the process cannot be counted.
    #[error("cannot count the threads in /proc/self/task: {0}; use --no-sandbox to skip")]
    Count(io::Error),
}

/// Enters the sandbox of the audio process, permanently.
///
/// Later threads inherit the restrictions of the thread that starts them; earlier threads do not
/// get them.
///
/// # Errors
///
/// Fails if the process has more than one thread, or the kernel refuses.
pub fn enter(writable: &Writable<'_>) -> Result<(), SandboxError> {
    require_one_thread()?;
    confine(writable)
}

/// Enters the sandbox of the card process, permanently. The process can still remove `socket`.
///
/// Fails if the process has more than one thread, or the kernel refuses.
pub(crate) fn enter_card(socket: Option<&Path>) -> Result<(), SandboxError> {
    require_one_thread()?;
    confine_card(socket)
}

fn require_one_thread() -> Result<(), SandboxError> {
    match fs::read_dir("/proc/self/task").map_err(SandboxError::Count)?.count() {
        1 => Ok(()),
        threads => Err(SandboxError::Threads(threads)),
    }
}

/// Restricts this thread and all threads that it will start to what a card process does.
fn confine_card(socket: Option<&Path>) -> Result<(), SandboxError> {
    if files::restrict_to_socket(socket)? {
        info!("sandboxed: can open no file, make no connection, and start no program");
    } else {
        warn!("sandboxed in part: the kernel has no landlock; system calls are restricted all the same");
    }
    card_calls::restrict()
}

/// Restricts this thread and all threads that it will start to what sinks and sources do.
fn confine(writable: &Writable<'_>) -> Result<(), SandboxError> {
    let dirs = writable.dirs();
    let shown = || dirs.iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(", ");
    if files::restrict(writable)? {
        info!("sandboxed: cannot start programs; can write files only below {}", shown());
    } else {
        warn!("sandboxed in part: the kernel has no landlock, so files can be written anywhere");
    }
    audio_calls::restrict()
}

/// Returns the directory that contains `path`.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::process::Command;
    use std::thread;

    use rustix::fs::{Mode, OFlags};
    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketFlags, SocketType};
    use rustix::process::{PidfdFlags, Resource, Signal, getpid, getrlimit, prlimit};

    use super::*;
    use crate::realtime::RealTime;
    use crate::realtime::tests::policy;
    use crate::scheduler::tests::set_other;

    /// Runs `test` in a confined thread. Other threads are not confined.
    fn confined(writable: &[PathBuf], test: impl FnOnce() + Send) {
        thread::scope(|scope| {
            scope.spawn(|| {
                confine(&Writable { given: writable }).unwrap();
                test();
            });
        });
    }

    /// Runs `test` in a thread that is confined as the card process is.
    fn confined_card(socket: Option<&Path>, test: impl FnOnce() + Send) {
        thread::scope(|scope| {
            scope.spawn(|| {
                confine_card(socket).unwrap();
                test();
            });
        });
    }

    #[test]
    fn a_confined_thread_cannot_start_programs() {
        confined(&[], || {
            let error = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        });
        assert!(Command::new("/bin/true").status().unwrap().success());
    }

    #[test]
    fn a_confined_thread_can_start_threads() {
        confined(&[], || assert_eq!(thread::spawn(|| 7).join().unwrap(), 7));
    }

    #[test]
    fn a_confined_thread_gets_the_priority_that_it_would_get_elsewhere() {
        let enter = || {
            RealTime::Granted(5).enter();
            policy()
        };
        let elsewhere = thread::spawn(enter).join().unwrap();
        confined(&[], || assert_eq!(enter(), elsewhere));
    }

    #[test]
    fn a_card_process_changes_the_scheduling_of_its_own_thread_only() {
        let process = getpid().as_raw_nonzero().get();
        set_other(process).unwrap();
        confined_card(None, || {
            set_other(0).unwrap();
            assert_eq!(set_other(process).unwrap_err().kind(), ErrorKind::PermissionDenied);
        });
    }

    /// Makes a system call and returns its error.
    fn refused<T>(result: rustix::io::Result<T>) -> Errno {
        result.err().expect("the sandbox refuses the call")
    }

    #[test]
    fn a_card_process_is_refused_each_of_these_calls() {
        confined_card(None, || {
            let files = [
                refused(rustix::fs::open("/etc/passwd", OFlags::RDONLY, Mode::empty())),
                refused(rustix::fs::open("/dev/null", OFlags::WRONLY, Mode::empty())),
                refused(rustix::fs::mkdir("/tmp/directory", Mode::RWXU)),
                refused(rustix::fs::rename("/tmp/one", "/tmp/other")),
                refused(rustix::fs::chmod("/tmp", Mode::RWXU)),
                refused(rustix::fs::readlink("/proc/self/exe", Vec::new())),
            ];
            let sockets = [
                refused(rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)),
                refused(rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)),
                refused(rustix::net::socketpair(
                    AddressFamily::INET,
                    SocketType::STREAM,
                    SocketFlags::empty(),
                    None,
                )),
            ];
            let processes = [
                refused(rustix::process::kill_process(getpid(), Signal::URG)),
                refused(rustix::process::pidfd_open(getpid(), PidfdFlags::empty())),
                refused(rustix::process::chdir("/")),
                refused(prlimit(Some(getpid()), Resource::Nofile, getrlimit(Resource::Nofile))),
                refused(rustix::thread::sched_getaffinity(Some(getpid())).map(drop)),
            ];
            for error in [&files[..], &sockets, &processes].concat() {
                assert_eq!(error, Errno::PERM);
            }
            let error = Command::new("/bin/true").spawn().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        });
    }

    #[test]
    fn a_card_process_can_start_threads_and_share_memory() {
        confined_card(None, || {
            assert_eq!(thread::spawn(|| 7).join().unwrap(), 7);
            crate::wire::PlaybackWriter::create(&crate::pcm::tests::s16_stereo()).unwrap();
        });
    }

    #[test]
    fn files_are_written_only_in_allowed_directories() {
        let [here, there] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let old = there.path().join("old");
        fs::write(&old, "old").unwrap();
        confined(&[here.path().to_owned()], || {
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
    fn without_landlock_system_calls_are_still_restricted() {
        let there = tempfile::tempdir().unwrap();
        let without = filter::Calls::from([(libc::SYS_landlock_create_ruleset, Vec::new())]);
        thread::scope(|scope| {
            scope.spawn(|| {
                filter::deny(without, libc::ENOSYS).unwrap();
                confine(&Writable { given: &[] }).unwrap();
                assert!(Command::new("/bin/true").spawn().is_err());
                fs::write(there.path().join("new"), "new").unwrap();
            });
        });
    }

    #[test]
    fn the_file_of_the_socket_can_be_removed() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        confined_card(Some(&socket), || {
            fs::remove_file(&socket).unwrap();
            assert!(File::create(&socket).is_err());
        });
    }

    #[test]
    fn a_process_with_several_threads_cannot_enter_the_sandbox() {
        // The thread that runs this test, and the main thread, which waits.
        let entered = enter(&Writable { given: &[] });
        assert!(matches!(entered, Err(SandboxError::Threads(2..))), "{entered:?}");
    }

    #[test]
    fn a_bare_file_name_is_in_the_current_directory() {
        assert_eq!(parent(Path::new("socket")), Path::new("."));
        assert_eq!(parent(Path::new("/run/socket")), Path::new("/run"));
    }
}
