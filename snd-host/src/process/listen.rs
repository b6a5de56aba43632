//! The socket that front-ends connect to: created by this process, inherited, or opened by systemd.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::RawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use tracing::warn;

use super::args::Args;

/// The error for a socket on which this process cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The command line names no socket, and systemd has opened none.
    #[error("no socket to listen on; give --socket or --fd, or start snd-host by systemd socket activation")]
    Nowhere,
    /// The path is in use by a file that is not a socket.
    #[error("--socket: {} exists and is not a socket; remove it or choose another path", .0.display())]
    Occupied(PathBuf),
    /// Another process listens on the path.
    #[error("--socket: another process listens on {}; end it or choose another path", .0.display())]
    InUse(PathBuf),
    /// The socket cannot be created.
    #[error("--socket: cannot listen on {}: {source}", path.display())]
    Bind {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The group is not known.
    #[error("--socket-group: /etc/group has no group '{0}'; give a name from that file or a number")]
    Group(String),
    /// The access to the socket cannot be changed.
    #[error("cannot change the group or the mode of {}: {source}", path.display())]
    Access {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file descriptor cannot be used.
    #[error("--fd: cannot use file descriptor {fd}: {source}")]
    File {
        /// The file descriptor.
        fd: RawFd,
        /// The cause.
        source: io::Error,
    },
    /// The file descriptor is not a listening socket.
    #[error("--fd: file descriptor {0} is not a listening socket")]
    NotListening(RawFd),
    /// The socket that systemd has opened cannot be used.
    #[error("cannot use the socket that systemd has opened: {0}")]
    Activation(io::Error),
}

/// A listening socket. If this process has created the socket, dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    file: Option<SocketFile>,
}

/// The file of a socket that this process has created.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    id: FileId,
}

/// The device and the inode of a file, which distinguish the file from a later file at the same
/// path.
type FileId = (u64, u64);

fn id(path: &Path) -> io::Result<FileId> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

impl Socket {
    /// Opens the socket that the command line names, or takes the socket from systemd if the
    /// command line names none.
    pub(crate) fn open(args: &Args) -> Result<Self, ListenError> {
        match (&args.socket, args.fd) {
            (Some(path), _) => {
                let socket = Self::bind(path)?;
                set_access(path, args)?;
                Ok(socket)
            }
            (None, Some(fd)) => Self::inherit(fd),
            (None, None) => Self::activated(),
        }
    }

    /// Listens on `path`. Replaces a socket that another process has left behind.
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

    /// Listens on the socket with the file descriptor `fd`.
    fn inherit(fd: RawFd) -> Result<Self, ListenError> {
        // `pidfd_getfd` gets an owned descriptor safely: the kernel checks that `fd` is open.
        let file = pidfd_open(getpid(), PidfdFlags::empty())
            .and_then(|this| pidfd_getfd(this, fd, PidfdGetfdFlags::empty()))
            .map_err(|source| ListenError::File { fd, source: source.into() })?;
        match socket_acceptconn(&file) {
            Ok(true) => Ok(Self { listener: file.into(), file: None }),
            Ok(false) => Err(ListenError::NotListening(fd)),
            Err(source) => Err(ListenError::File { fd, source: source.into() }),
        }
    }

    /// Takes the socket that systemd has opened.
    fn activated() -> Result<Self, ListenError> {
        let listener = ListenFd::from_env().take_unix_listener(0).map_err(ListenError::Activation)?;
        let listener = listener.ok_or(ListenError::Nowhere)?;
        Ok(Self { listener, file: None })
    }

    pub(crate) const fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// Returns the path of the socket, if this process has created the socket.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }
}

/// Sets the group and the mode of the socket.
fn set_access(path: &Path, args: &Args) -> Result<(), ListenError> {
    let failed = |source| ListenError::Access { path: path.to_owned(), source };
    if let Some(group) = &args.socket_group {
        let id = group_id(group).ok_or_else(|| ListenError::Group(group.clone()))?;
        // The group is set before the mode, because the mode may let the group connect.
        chown(path, None, Some(id)).map_err(failed)?;
    }
    if let Some(mode) = args.socket_mode {
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)?;
    }
    Ok(())
}

/// Returns the number of a group.
fn group_id(group: &str) -> Option<u32> {
    let by_name = || {
        let groups = fs::read_to_string("/etc/group").ok()?;
        groups
            .lines()
            .find_map(|line| line.strip_prefix(group)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok())
    };
    group.parse().ok().or_else(by_name)
}

impl Drop for SocketFile {
    /// Removes the file, unless another process has replaced it.
    fn drop(&mut self) {
        let Self { path, id: ours } = self;
        if id(path).is_ok_and(|current| current != *ours) {
            return;
        }
        if let Err(error) = fs::remove_file(&path) {
            warn!("cannot remove {}: {error}", path.display());
        }
    }
}
