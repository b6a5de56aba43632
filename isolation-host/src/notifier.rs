//! Notifications: event file descriptors.
//!
//! They are not read: each write is an event for whoever [waits](crate::host) for it, whatever was written before.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::write;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

/// Makes an event file descriptor that never blocks.
///
/// # Errors
///
/// If the process may have no more of them.
pub fn new() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes what a peer that is not trusted is notified through: the end that it gets, and the end to
/// [notify](notify()).
///
/// They are datagram sockets, which are read like an event file descriptor. Of that, either side has the same open file,
/// so the peer could fill it and let it block whoever notifies. Of a pipe, the peer would see the end when this process
/// ends, and take it for a notification; a datagram socket whose peer is gone stays silent.
///
/// # Errors
///
/// If the process may have no more of them.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?)
}

/// Notifies. One that has not been taken yet will do for both.
pub fn notify(fd: impl AsFd) {
    if let Err(error) = write(fd, &1u64.to_ne_bytes())
        && error != rustix::io::Errno::AGAIN
    {
        tracing::debug!("a notification got lost: {error}");
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{Errno, read};

    use super::*;

    #[test]
    fn a_peer_hears_of_notifications_and_not_of_the_end() {
        let (peer, kick) = pair().unwrap();
        notify(&kick);
        let mut count = [0; 8];
        assert_eq!(read(&peer, &mut count), Ok(8));
        assert_eq!(u64::from_ne_bytes(count), 1);
        drop(kick);
        assert_eq!(poll(&mut [PollFd::new(&peer, PollFlags::IN)], Some(&Timespec::default())), Ok(0));
        assert_eq!(read(&peer, &mut count), Err(Errno::AGAIN));
    }

    #[test]
    fn no_peer_can_make_a_notification_block() {
        let (peer, kick) = pair().unwrap();
        rustix::io::ioctl_fionbio(&peer, false).unwrap();
        (0..10_000).for_each(|_| notify(&kick));
        drop(peer);
        notify(&kick);
    }
}
