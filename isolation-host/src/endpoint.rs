//! How a connection is established: by listening, by connecting, or from an inherited file
//! descriptor.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use listenfd::ListenFd;
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, RawPid, getpid, pidfd_getfd, pidfd_open};
use thiserror::Error;

use crate::protocol::Channel;
use crate::vdpa::VdpaLink;

/// One of the two connections, as the command line describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Listens on a new socket at this path.
    Listen(PathBuf),
    /// Connects to the socket at this path.
    Connect(PathBuf),
    /// Uses an inherited file descriptor, which is a listening or a connected socket, or a vDPA
    /// device.
    Fd(RawPid),
    /// Uses the vDPA device at this path, which can only be the device.
    Vdpa(PathBuf),
    /// Listens on the socket that systemd has opened.
    ///
    /// There is no text for this endpoint: it is the default.
    Activated,
}

/// A text that is not an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("invalid endpoint {text:?}; use listen:PATH, connect:PATH, fd:NUMBER or, for a device, vdpa:PATH")]
pub struct EndpointError {
    text: String,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let invalid = || EndpointError { text: text.to_owned() };
        match text.split_once(':').filter(|(_, value)| !value.is_empty()).ok_or_else(invalid)? {
            ("listen", path) => Ok(Self::Listen(path.into())),
            ("connect", path) => Ok(Self::Connect(path.into())),
            ("vdpa", path) => Ok(Self::Vdpa(path.into())),
            ("fd", number) => {
                number.parse().ok().filter(|number| *number >= 0).map(Self::Fd).ok_or_else(invalid)
            }
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(path) => write!(f, "listen:{}", path.display()),
            Self::Connect(path) => write!(f, "connect:{}", path.display()),
            Self::Vdpa(path) => write!(f, "vdpa:{}", path.display()),
            Self::Fd(number) => write!(f, "fd:{number}"),
            Self::Activated => f.write_str("systemd's socket"),
        }
    }
}

/// An open endpoint, from which connections come.
#[derive(Debug)]
pub enum Connector {
    /// Accepts connections.
    Listener(UnixListener),
    /// Connects to the socket at this path.
    Client(PathBuf),
    /// Has a single connection. `None` once it has been used.
    Once(Option<OwnedFd>),
    /// Connects to a vDPA device.
    Vdpa(VdpaLink),
}

impl Connector {
    /// Opens an endpoint. To listen at a path replaces the socket of a process that has ended.
    ///
    /// # Errors
    ///
    /// The error of the system; [`NotFound`](io::ErrorKind::NotFound) if systemd has opened no
    /// socket.
    pub fn open(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Connect(path) => Ok(Self::Client(path.clone())),
            Endpoint::Vdpa(path) => Ok(Self::Vdpa(VdpaLink::open(path).map_err(io::Error::other)?)),
            Endpoint::Listen(path) => Self::listen(match UnixListener::bind(path) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale_socket(path) => {
                    std::fs::remove_file(path)?;
                    UnixListener::bind(path)?
                }
                bound => bound?,
            }),
            Endpoint::Fd(number) => {
                let process = pidfd_open(getpid(), PidfdFlags::empty())?;
                let socket = pidfd_getfd(process, *number, PidfdGetfdFlags::empty())?;
                if FileType::from_raw_mode(fstat(&socket)?.st_mode) == FileType::CharacterDevice {
                    return Ok(Self::Vdpa(VdpaLink::from_file(socket.into()).map_err(io::Error::other)?));
                }
                if rustix::net::sockopt::socket_acceptconn(&socket)? {
                    return Self::listen(socket.into());
                }
                Ok(Self::Once(Some(socket)))
            }
            Endpoint::Activated => {
                let missing = "systemd has passed no socket; give --vmm, --socket-path or --fd";
                let listener = ListenFd::from_env().take_unix_listener(0)?;
                Self::listen(listener.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, missing))?)
            }
        }
    }

    fn listen(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::Listener(listener))
    }

    /// Returns a connection if one can be established now.
    ///
    /// # Errors
    ///
    /// The error of the system; [`NotConnected`](io::ErrorKind::NotConnected) if the single
    /// connection has been used.
    pub fn connect(&mut self) -> io::Result<Option<Channel>> {
        let socket: OwnedFd = match self {
            Self::Listener(listener) => match listener.accept() {
                Ok((stream, _)) => stream.into(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            },
            Self::Client(path) => match connect_to(path) {
                Ok(socket) => socket,
                Err(Errno::NOENT | Errno::CONNREFUSED | Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(error.into()),
            },
            Self::Once(socket) => socket.take().ok_or(io::ErrorKind::NotConnected)?,
            Self::Vdpa(link) => return link.connect().map(Some),
        };
        Ok(Some(Channel::new(socket)))
    }

    /// Returns whether there will be no more connections: the single connection has been used, or
    /// the vDPA device has been removed.
    #[must_use]
    pub const fn is_exhausted(&self) -> bool {
        match self {
            Self::Once(socket) => socket.is_none(),
            Self::Vdpa(link) => link.is_removed(),
            Self::Listener(_) | Self::Client(_) => false,
        }
    }

    /// Returns the vDPA device, if this is one.
    pub const fn vdpa_mut(&mut self) -> Option<&mut VdpaLink> {
        match self {
            Self::Vdpa(link) => Some(link),
            Self::Listener(_) | Self::Client(_) | Self::Once(_) => None,
        }
    }

    /// Returns the listening socket, if there is one.
    #[must_use]
    pub const fn listener(&self) -> Option<&UnixListener> {
        match self {
            Self::Listener(listener) => Some(listener),
            Self::Client(_) | Self::Once(_) | Self::Vdpa(_) => None,
        }
    }
}

/// Returns whether the path is a socket without a listener.
///
/// A busy or inaccessible socket, and any other file, is not stale.
fn is_stale_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Connects without waiting for the peer to accept.
fn connect_to(path: &Path) -> Result<OwnedFd, Errno> {
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
    fn an_endpoint_is_parsed_from_its_text() {
        for text in ["listen:/a", "connect:/a:b", "fd:3", "vdpa:/dev/vhost-vdpa-0"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in ["", "listen:", "fd:x", "fd:-1", "/a", "tcp:x"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_inherited_socket_is_a_listener_or_the_single_connection() {
        let (a, _b) = UnixStream::pair().unwrap();
        let mut connector = Connector::open(&Endpoint::Fd(a.as_raw_fd())).unwrap();
        assert!(connector.connect().unwrap().is_some());
        assert_eq!(connector.connect().unwrap_err().kind(), io::ErrorKind::NotConnected);

        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let connector = Connector::open(&Endpoint::Fd(listener.as_raw_fd())).unwrap();
        assert!(connector.listener().is_some());
    }

    #[test]
    fn only_the_socket_of_an_ended_process_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        std::fs::write(directory.path().join("disk"), b"data").unwrap();
        let file = Connector::open(&Endpoint::Listen(directory.path().join("disk")));
        assert!(matches!(file, Err(error) if error.kind() == io::ErrorKind::AddrInUse));
        assert_eq!(std::fs::read(directory.path().join("disk")).unwrap(), b"data");
        let _alive = Connector::open(&Endpoint::Listen(path.clone())).unwrap();
        let second = Connector::open(&Endpoint::Listen(path));
        assert!(matches!(second, Err(error) if error.kind() == io::ErrorKind::AddrInUse));
    }
}
