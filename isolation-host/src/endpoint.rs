//! How a connection comes about: by waiting for a peer, by calling it, or by inheriting it.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use listenfd::ListenFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, RawPid, getpid, pidfd_getfd, pidfd_open};
use thiserror::Error;

use crate::protocol::Channel;

/// Where a peer is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// It connects to a socket that is made at this path.
    Listen(PathBuf),
    /// It listens at this path.
    Connect(PathBuf),
    /// An open file descriptor, of a listening or a connected socket.
    Fd(RawPid),
    /// It connects to the socket that systemd has opened. No text names it: it is what is left if none is named.
    Activated,
}

/// A text that names no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is none of listen:PATH, connect:PATH, fd:NUMBER")]
pub struct NoEndpoint {
    text: String,
}

impl FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        let no_endpoint = || NoEndpoint { text: text.to_owned() };
        match text.split_once(':').filter(|(_, what)| !what.is_empty()).ok_or_else(no_endpoint)? {
            ("listen", path) => Ok(Self::Listen(path.into())),
            ("connect", path) => Ok(Self::Connect(path.into())),
            ("fd", number) => {
                number.parse().ok().filter(|number| *number >= 0).map(Self::Fd).ok_or_else(no_endpoint)
            }
            _ => Err(no_endpoint()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(path) => write!(f, "listen:{}", path.display()),
            Self::Connect(path) => write!(f, "connect:{}", path.display()),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::Activated => f.write_str("systemd's socket"),
        }
    }
}

/// An endpoint that has been opened.
#[derive(Debug)]
pub enum Door {
    /// Peers come to us.
    Listener(UnixListener),
    /// We go to the peer.
    Caller(PathBuf),
    /// There is one connection and no other; `None` once it has been used.
    Once(Option<OwnedFd>),
}

impl Door {
    /// Opens an endpoint. The socket of an earlier process, on which nobody listens any more, is replaced.
    ///
    /// # Errors
    ///
    /// What the system says; [`NotFound`](io::ErrorKind::NotFound) if systemd has opened no socket.
    pub fn open(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Connect(path) => Ok(Self::Caller(path.clone())),
            Endpoint::Listen(path) => {
                let listener = match UnixListener::bind(path) {
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
                        std::fs::remove_file(path)?;
                        UnixListener::bind(path)?
                    }
                    bound => bound?,
                };
                listener.set_nonblocking(true)?;
                Ok(Self::Listener(listener))
            }
            Endpoint::Fd(number) => {
                let this = pidfd_open(getpid(), PidfdFlags::empty())?;
                let socket = pidfd_getfd(this, *number, PidfdGetfdFlags::empty())?;
                if rustix::net::sockopt::socket_acceptconn(&socket)? {
                    let listener = UnixListener::from(socket);
                    listener.set_nonblocking(true)?;
                    return Ok(Self::Listener(listener));
                }
                Ok(Self::Once(Some(socket)))
            }
            Endpoint::Activated => {
                let none =
                    || io::Error::new(io::ErrorKind::NotFound, "it has opened none, and no other is named");
                let listener = ListenFd::from_env().take_unix_listener(0)?.ok_or_else(none)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Listener(listener))
            }
        }
    }

    /// A connection, if there is one to be had now.
    ///
    /// # Errors
    ///
    /// What the system says; [`NotConnected`](io::ErrorKind::NotConnected) if there will never be one again.
    pub fn connection(&mut self) -> io::Result<Option<Channel>> {
        let socket: OwnedFd = match self {
            Self::Listener(listener) => match listener.accept() {
                Ok((stream, _)) => stream.into(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            },
            Self::Caller(path) => match call(path) {
                Ok(socket) => socket,
                Err(Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            Self::Once(socket) => socket.take().ok_or(io::ErrorKind::NotConnected)?,
        };
        Ok(Some(Channel::new(socket)))
    }

    /// Whether there was a connection and will never be one again.
    #[must_use]
    pub const fn is_used_up(&self) -> bool {
        matches!(self, Self::Once(None))
    }

    /// Where to wait for a peer that comes to us.
    #[must_use]
    pub const fn listener(&self) -> Option<&UnixListener> {
        match self {
            Self::Listener(listener) => Some(listener),
            Self::Caller(_) | Self::Once(_) => None,
        }
    }
}

/// Whether a path leads to a socket on which nobody listens: not to any other file, and not to a socket of somebody who
/// is only busy, or does not let us in.
fn is_abandoned(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Connects without waiting for a peer that does not accept.
fn call(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn an_endpoint_is_what_its_text_says() {
        for text in ["listen:/a", "connect:/a:b", "fd:3"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in ["", "listen:", "fd:x", "fd:-1", "/a", "tcp:x"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_inherited_socket_listens_or_is_the_connection_itself() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut door = Door::open(&Endpoint::Fd(a.as_raw_fd())).unwrap();
        assert!(door.connection().unwrap().is_some());
        assert_eq!(door.connection().unwrap_err().kind(), io::ErrorKind::NotConnected);

        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let door = Door::open(&Endpoint::Fd(listener.as_raw_fd())).unwrap();
        assert!(door.listener().is_some());
    }

    #[test]
    fn the_socket_of_a_dead_process_is_replaced_and_no_other_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        std::fs::write(directory.path().join("disk"), b"data").unwrap();
        let file = Door::open(&Endpoint::Listen(directory.path().join("disk")));
        assert!(matches!(file, Err(error) if error.kind() == io::ErrorKind::AddrInUse));
        assert_eq!(std::fs::read(directory.path().join("disk")).unwrap(), b"data");
        let _alive = Door::open(&Endpoint::Listen(path.clone())).unwrap();
        let second = Door::open(&Endpoint::Listen(path));
        assert!(matches!(second, Err(error) if error.kind() == io::ErrorKind::AddrInUse));
    }
}
