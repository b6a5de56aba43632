//! Breaks the connections of other processes.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::{Shutdown, SocketAddrUnix, getpeername, shutdown};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Shuts down the connections of a child process to a Unix socket. Both ends see a hang-up.
///
/// Returns whether there was a connection.
///
/// # Errors
/// Fails if the process has ended or belongs to another user.
pub fn cut(process: u32, socket: &Path) -> io::Result<bool> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let handle = pidfd_open(pid, PidfdFlags::empty())?;
    let mut found = false;
    for descriptor in fs::read_dir(format!("/proc/{process}/fd"))? {
        let Some(number) = descriptor?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let own = match pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()) {
            // A descriptor may be closed after it was listed.
            Err(Errno::BADF) => continue,
            own => own?,
        };
        let peer = getpeername(&own).ok().flatten().and_then(|peer| SocketAddrUnix::try_from(peer).ok());
        if peer
            .and_then(|peer| peer.path().map(|path| path.to_bytes() == socket.as_os_str().as_encoded_bytes()))
            == Some(true)
        {
            // Fails only if the connection is shut down already.
            found |= shutdown(&own, Shutdown::Both).is_ok();
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::{UnixListener, UnixStream};

    #[test]
    fn only_connections_to_the_named_socket_are_cut() -> io::Result<()> {
        let directory = tempfile::tempdir()?;
        let [this, other] = ["this", "other"].map(|name| directory.path().join(name));
        let listeners = [UnixListener::bind(&this)?, UnixListener::bind(&other)?];
        let mut cut_off = UnixStream::connect(&this)?;
        let whole = UnixStream::connect(&other)?;
        assert!(cut(std::process::id(), &this)?);
        assert_eq!(cut_off.read(&mut [0])?, 0);
        assert_eq!(listeners[0].accept()?.0.read(&mut [0])?, 0);
        whole.set_nonblocking(true)?;
        assert!((&whole).read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
        drop(cut_off);
        assert!(!cut(std::process::id(), &this)?);
        Ok(())
    }
}
