//! The socket that front-ends connect to: ours, or one that somebody has opened for us.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tracing::warn;

use super::args::Args;

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// None was named, and none was handed over.
    #[error("no socket to listen on: give --socket or --fd, or have systemd open one")]
    Nowhere,
    /// Something that is no socket is where the socket should be.
    #[error("--socket: {} is there, and is no socket", .0.display())]
    Occupied(PathBuf),
    /// Somebody listens there.
    #[error("--socket: somebody listens on {} already: end them, or give another path", .0.display())]
    InUse(PathBuf),
    /// The socket cannot be made.
    #[error("--socket: cannot listen on {}: {source}", path.display())]
    Bind {
        /// The path.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The open file cannot be used.
    #[error("--fd: cannot use open file {fd}: {source}")]
    File {
        /// Its number.
        fd: RawFd,
        /// What is wrong.
        source: io::Error,
    },
    /// The open file is no socket that listens.
    #[error("--fd: open file {0} is not listening for connections")]
    NotListening(RawFd),
    /// What systemd has handed over cannot be used.
    #[error("the socket that systemd has opened cannot be used: {0}")]
    Activation(io::Error),
}

/// A socket that listens. If it is ours, it is removed in the end.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    file: Option<SocketFile>,
}

/// The socket's file.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: FileId,
}

/// What tells a file from another one that has the same path at another time: its device and its number.
type FileId = (u64, u64);

fn id(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Socket {
    /// Opens the socket that the command line names, or takes the one that systemd has handed over.
    pub(crate) fn open(args: &Args) -> Result<Self, ListenError> {
        match (&args.socket, args.fd) {
            (Some(path), _) => Self::bind(path),
            (None, Some(fd)) => Self::inherit(fd),
            (None, None) => Self::activated(),
        }
    }

    /// Listens on `path`, in place of a socket that a predecessor left there.
    fn bind(path: &Path) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Bind { path: path.to_owned(), source };
        match fs::symlink_metadata(path).map(|file| file.file_type()) {
            Ok(kind) if !kind.is_socket() => return Err(ListenError::Occupied(path.to_owned())),
            Ok(_) => match UnixStream::connect(path) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                    fs::remove_file(path).map_err(failed)?;
                }
                Err(error) => return Err(failed(error)),
                Ok(_) => return Err(ListenError::InUse(path.to_owned())),
            },
            Err(_) => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let file = SocketFile { path: path.to_owned(), id: id(path).map_err(failed)? };
        Ok(Self { listener, file: Some(file) })
    }

    /// Listens on the socket that is open as file `fd`.
    fn inherit(fd: RawFd) -> Result<Self, ListenError> {
        // The way to an owned file that asks the kernel, and not us, whether `fd` is open.
        let file = pidfd_open(getpid(), PidfdFlags::empty())
            .and_then(|this| pidfd_getfd(this, fd, PidfdGetfdFlags::empty()))
            .map_err(|source| ListenError::File { fd, source: source.into() })?;
        match socket_acceptconn(&file) {
            Ok(true) => Ok(Self { listener: file.into(), file: None }),
            Ok(false) => Err(ListenError::NotListening(fd)),
            Err(source) => Err(ListenError::File { fd, source: source.into() }),
        }
    }

    fn activated() -> Result<Self, ListenError> {
        let listener = ListenFd::from_env().take_unix_listener(0).map_err(ListenError::Activation)?;
        let listener = listener.ok_or(ListenError::Nowhere)?;
        Ok(Self { listener, file: None })
    }

    pub(crate) const fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Where the socket is, if it is to be removed in the end.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }
}

impl Drop for SocketFile {
    /// Removes it, unless somebody has put another one in its place.
    fn drop(&mut self) {
        let Self { path, id: ours } = self;
        if id(path).is_ok_and(|there| there != *ours) {
            return;
        }
        if let Err(error) = fs::remove_file(&path) {
            warn!("{} cannot be removed: {error}", path.display());
        }
    }
}
