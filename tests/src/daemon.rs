//! A vhost-user daemon under test that is ready for a VMM to connect.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::audio_process::audio_process;
use crate::process::{Process, ProcessError};

/// The time within which a daemon has to listen. GStreamer's first start lists all its plugins.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The time within which a daemon has to end after SIGTERM.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// The time within which a daemon has to close a file after the guest has stopped playing.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// The interval at which the kernel's lists are polled. Their changes cause no event.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The kernel's list of Unix sockets.
const SOCKETS: &str = "/proc/net/unix";
/// The flag of a listening socket in `/proc/net/unix`.
const LISTENING: &str = "00010000";

/// A daemon that listens on a socket. Dropping the value kills the daemon.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    socket: PathBuf,
}

/// An error of starting or stopping a daemon.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The process did not start or cannot be waited for.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The daemon ended instead of listening.
    #[error("the daemon ended ({status}) instead of listening on {socket}; its log:\n{log}", socket = socket.display())]
    Ended {
        /// The daemon's exit status.
        status: ExitStatus,
        /// The socket on which the daemon had to listen.
        socket: PathBuf,
        /// The daemon's log.
        log: String,
    },
    /// The daemon runs but does not listen.
    #[error("the daemon does not listen on {socket} within {READY_WITHIN:?}; its log:\n{log}", socket = socket.display())]
    NotReady {
        /// The socket on which the daemon had to listen.
        socket: PathBuf,
        /// The daemon's log.
        log: String,
    },
    /// The daemon has not closed a file.
    #[error("the daemon still has {path} open after {CLOSED_WITHIN:?}; its log:\n{log}", path = path.display())]
    StillOpen {
        /// The file.
        path: PathBuf,
        /// The daemon's log.
        log: String,
    },
    /// The kernel's list of sockets, or of open files, cannot be read.
    #[error("cannot read the sockets or open files of the daemon from /proc")]
    Unknown(#[from] io::Error),
}

impl Daemon {
    /// Starts `program --socket SOCKET ARGUMENTS…` and waits until the daemon listens.
    ///
    /// # Errors
    /// Fails if the daemon does not listen in time.
    pub fn start(
        program: &Path,
        socket: &Path,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, DaemonError> {
        let mut all: Vec<OsString> = vec!["--socket".into(), socket.into()];
        all.extend(arguments.into_iter().map(|it| it.as_ref().to_owned()));
        Self::start_with(program, socket, all)
    }

    /// Starts `program ARGUMENTS…` and waits until the daemon listens on `socket`.
    ///
    /// The arguments name the socket in the program's own syntax.
    ///
    /// # Errors
    /// Fails if the daemon does not listen in time.
    pub fn start_with(
        program: &Path,
        socket: &Path,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, DaemonError> {
        let mut daemon = Self { process: Process::start(program, arguments)?, socket: socket.to_owned() };
        daemon.wait_until_listening()?;
        Ok(daemon)
    }

    /// Returns the process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Returns the socket on which the daemon listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Returns the log lines that the daemon has written so far.
    pub fn log(&mut self) -> &[String] {
        self.process.log()
    }

    /// Waits until the daemon and its audio process, if there is one, have closed a file, or until
    /// the daemon has ended.
    ///
    /// # Errors
    /// Fails if the daemon keeps the file open.
    pub fn wait_until_closed(&mut self, path: &Path) -> Result<(), DaemonError> {
        let deadline = Instant::now() + CLOSED_WITHIN;
        while self.process.ended_by(Instant::now() + LOOK_EVERY)?.is_none() && self.holds_open(path)? {
            if Instant::now() > deadline {
                return Err(DaemonError::StillOpen { path: path.to_owned(), log: self.process.tail() });
            }
        }
        Ok(())
    }

    /// Returns whether the daemon or its audio process has the file at `path` open.
    fn holds_open(&self, path: &Path) -> io::Result<bool> {
        let daemon = self.process.id();
        let audio = match audio_process(daemon).map(|audio| holds_open(audio, path)) {
            // The process has ended meanwhile.
            Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
            audio => audio.transpose()?.unwrap_or(false),
        };
        Ok(audio || holds_open(daemon, path)?)
    }

    /// Kills the daemon with SIGKILL and waits until it has ended.
    ///
    /// # Errors
    /// Fails if the daemon cannot be killed.
    pub fn kill(&mut self) -> Result<(), DaemonError> {
        Ok(self.process.kill()?)
    }

    /// Sends SIGTERM, waits for the daemon's end, and returns its exit status and its whole log.
    ///
    /// The daemon may have ended before.
    ///
    /// # Errors
    /// Fails if the daemon does not end in time.
    pub fn stop(mut self) -> Result<(ExitStatus, Vec<String>), DaemonError> {
        let deadline = Instant::now() + STOP_WITHIN;
        if self.process.ended_by(Instant::now())?.is_none() {
            self.process.terminate()?;
        }
        let status = self.process.wait(deadline)?;
        Ok((status, self.process.whole_log(deadline)?.to_owned()))
    }

    fn wait_until_listening(&mut self) -> Result<(), DaemonError> {
        let deadline = Instant::now() + READY_WITHIN;
        // The daemon would mistake a connection for a VMM, so the kernel's list is read instead.
        while !listens(&self.socket)? {
            let next_look = Instant::now() + LOOK_EVERY;
            if let Some(status) = self.process.ended_by(next_look)? {
                return Err(DaemonError::Ended {
                    status,
                    socket: self.socket.clone(),
                    log: self.process.whole_log(deadline)?.join("\n"),
                });
            }
            if next_look > deadline {
                return Err(DaemonError::NotReady { socket: self.socket.clone(), log: self.process.tail() });
            }
        }
        Ok(())
    }
}

/// Returns whether a process listens on the Unix socket at `path`.
fn listens(path: &Path) -> io::Result<bool> {
    let sockets = fs::read_to_string(SOCKETS)?;
    Ok(sockets.lines().any(|line| {
        // The fields of a line are: Num RefCount Protocol Flags Type St Inode Path.
        let mut fields = line.split_whitespace();
        fields.nth(3) == Some(LISTENING) && fields.nth(3).map(Path::new) == Some(path)
    }))
}

/// Returns whether a process has the file at `path` open.
fn holds_open(process: u32, path: &Path) -> io::Result<bool> {
    let path = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        path => path?,
    };
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        // A descriptor may be closed after it was listed.
        if fs::read_link(descriptor?.path()).is_ok_and(|open| open == path) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_listening_socket_is_seen_without_connecting() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("s");
        assert!(!listens(&path)?);
        let listener = UnixListener::bind(&path)?;
        assert!(listens(&path)?);
        drop(listener);
        assert!(!listens(&path)?);
        Ok(())
    }

    #[test]
    fn an_open_file_is_seen_until_it_is_closed() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        assert!(holds_open(std::process::id(), file.path())?);
        let path = file.into_temp_path();
        assert!(!holds_open(std::process::id(), &path)?);
        Ok(())
    }

    #[test]
    fn a_daemon_that_ends_early_is_an_error_with_its_log() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("s");
        let ended = Daemon::start(Path::new("/bin/echo"), &socket, ["no", "sink"]);
        assert!(
            matches!(&ended, Err(DaemonError::Ended { log, .. }) if log.ends_with("no sink")),
            "{ended:?}"
        );
        Ok(())
    }
}
