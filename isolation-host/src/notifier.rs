//! Notifications between threads and processes: eventfds, and datagram sockets that stand in for
//! eventfds.
//!
//! Notifications are not read. Each write is an edge for epoll, whatever was written before.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::write;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};

/// Makes an eventfd that never blocks.
///
/// # Errors
///
/// Fails if the process has too many open files.
pub fn new() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Makes a notification for an untrusted peer. Returns the peer's end and the end to [`notify`].
///
/// Both ends are datagram sockets, which the peer reads like an eventfd. This process's end
/// receives nothing, so the peer cannot leave messages with file descriptors in it.
///
/// - An eventfd is one open file that both sides share: the peer could fill the counter and make it
///   blocking, so that this process blocks in `notify`.
/// - A pipe reports an end of file when this process ends, which the peer would mistake for a
///   notification. A datagram socket whose other end is closed stays silent.
///
/// # Errors
///
/// Fails if the process has too many open files.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (peer, own) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    shutdown(&own, Shutdown::Read)?;
    Ok((peer, own))
}

/// Notifies. If an earlier notification is still pending, the two become one.
pub fn notify(fd: impl AsFd) {
    match write(fd, &1u64.to_ne_bytes()) {
        Ok(_) | Err(rustix::io::Errno::AGAIN) => {}
        Err(error) => tracing::debug!("cannot notify: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{Errno, read};
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    use super::*;

    #[test]
    fn a_peer_sees_notifications_but_not_the_end_of_this_process() {
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

    #[test]
    fn a_peer_cannot_leave_files_in_a_notification() {
        let (peer, kick) = pair().unwrap();
        let files = [peer.as_fd()];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&files)));
        let sent = sendmsg(&peer, &[IoSlice::new(&[0; 8])], &mut control, SendFlags::empty());
        assert_eq!(sent, Err(Errno::PIPE));
        // The peer is still notified.
        notify(&kick);
        assert_eq!(read(&peer, &mut [0; 8]), Ok(8));
    }
}
