//! A vhost-user daemon under test, started and ready for a VMM to connect.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::process::{Process, ProcessError};

/// How long a daemon may take to open its socket. GStreamer's first start builds a registry of
/// all its plugins.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a daemon may take to end when it is asked to.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How long a daemon may take to finish a file after the guest has stopped playing.
const CLOSED_WITHIN: Duration = Duration::from_secs(10);
/// How often the kernel's lists are looked at, for want of an event that a test could wait for.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The kernel's list of Unix sockets.
const SOCKETS: &str = "/proc/net/unix";
/// The flag of a listening socket there.
const LISTENING: &str = "00010000";

/// A daemon that listens on a socket. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    socket: PathBuf,
}

/// Why a daemon is not ready, or did not stop.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The process did not start, or could not be waited for.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It ended instead of listening.
    #[error("the daemon ended ({status}) instead of listening on {socket}; its log:\n{log}", socket = socket.display())]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Where it should listen.
        socket: PathBuf,
        /// What it wrote.
        log: String,
    },
    /// It runs but does not listen.
    #[error("the daemon does not listen on {socket} within {READY_WITHIN:?}; its log:\n{log}", socket = socket.display())]
    NotReady {
        /// Where it should listen.
        socket: PathBuf,
        /// What it wrote.
        log: String,
    },
    /// It keeps a file open that it should have finished.
    #[error("the daemon still has {path} open after {CLOSED_WITHIN:?}; its log:\n{log}", path = path.display())]
    StillOpen {
        /// The file.
        path: PathBuf,
        /// What it wrote.
        log: String,
    },
    /// The kernel's list of sockets or of open files cannot be read.
    #[error("what the daemon has open cannot be told")]
    Unknown(#[from] io::Error),
}

impl Daemon {
    /// Starts `program --socket SOCKET ARGUMENTS…` and waits until it listens.
    ///
    /// # Errors
    /// If it does not come to listen.
    pub fn start(
        program: &Path,
        socket: &Path,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, DaemonError> {
        let mut all: Vec<OsString> = vec!["--socket".into(), socket.into()];
        all.extend(arguments.into_iter().map(|it| it.as_ref().to_owned()));
        Self::start_as_told(program, socket, all)
    }

    /// Starts `program ARGUMENTS…`, which name the socket in the program's own way, and waits until it listens.
    ///
    /// # Errors
    /// If it does not come to listen.
    pub fn start_as_told(
        program: &Path,
        socket: &Path,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
    ) -> Result<Self, DaemonError> {
        let mut daemon = Self { process: Process::start(program, arguments)?, socket: socket.to_owned() };
        daemon.wait_until_listening()?;
        Ok(daemon)
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The socket on which it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// All that the daemon has written so far.
    pub fn log(&mut self) -> &[String] {
        self.process.log()
    }

    /// Waits until the daemon has closed a file, or has ended.
    ///
    /// # Errors
    /// If it keeps it open.
    pub fn wait_until_closed(&mut self, path: &Path) -> Result<(), DaemonError> {
        let deadline = Instant::now() + CLOSED_WITHIN;
        while self.process.ended_by(Instant::now() + LOOK_EVERY)?.is_none()
            && holds_open(self.process.id(), path)?
        {
            if Instant::now() > deadline {
                return Err(DaemonError::StillOpen { path: path.to_owned(), log: self.process.tail() });
            }
        }
        Ok(())
    }

    /// Kills the daemon with no chance to say anything, and waits until it is gone.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill(&mut self) -> Result<(), DaemonError> {
        Ok(self.process.kill()?)
    }

    /// Asks the daemon to end, waits until it has, and tells how, with all that it wrote. One that
    /// has already ended is fine too.
    ///
    /// # Errors
    /// If it does not end.
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
        // To connect would be taken for a VMM that comes and goes, so the kernel is asked.
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

/// Whether a process listens on the Unix socket at `path`.
fn listens(path: &Path) -> io::Result<bool> {
    let sockets = fs::read_to_string(SOCKETS)?;
    Ok(sockets.lines().any(|line| {
        // Num RefCount Protocol Flags Type St Inode Path
        let mut fields = line.split_whitespace();
        fields.nth(3) == Some(LISTENING) && fields.nth(3).map(Path::new) == Some(path)
    }))
}

/// Whether a process has the file at `path` open.
fn holds_open(process: u32, path: &Path) -> io::Result<bool> {
    let path = match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        path => path?,
    };
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        // A descriptor may be closed between being listed and being read.
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
    fn a_daemon_that_ends_early_is_told_with_its_log() -> io::Result<()> {
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
