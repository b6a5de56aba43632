//! Notifications: event file descriptors.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{ReadWriteFlags, preadv2, write};

/// Makes an event file descriptor that never blocks.
///
/// # Errors
///
/// If the process may have no more of them.
pub fn new() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Notifies. One that has not been taken yet will do for both.
pub fn notify(fd: impl AsFd) {
    if let Err(error) = write(fd, &1u64.to_ne_bytes())
        && error != rustix::io::Errno::AGAIN
    {
        tracing::debug!("a notification got lost: {error}");
    }
}

/// Takes all notifications that have come in, if any.
///
/// Whether a peer's file descriptor blocks is its own affair, and changing that would change it for the peer,
/// too; so this read says for itself that it does not wait.
pub fn take(fd: impl AsFd) {
    /// Where the file stands, which for an event file descriptor means nothing.
    const HERE: u64 = u64::MAX;
    let mut count = [0; 8];
    // Nothing to take is fine, too.
    let _ = preadv2(fd, &mut [IoSliceMut::new(&mut count)], HERE, ReadWriteFlags::NOWAIT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn is_readable(fd: &OwnedFd) -> bool {
        poll(&mut [PollFd::new(fd, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(1)
    }

    #[test]
    fn what_is_taken_is_gone_and_nothing_is_waited_for() {
        for flags in [EventfdFlags::CLOEXEC, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK] {
            let fd = eventfd(0, flags).unwrap();
            take(&fd);
            notify(&fd);
            notify(&fd);
            assert!(is_readable(&fd));
            take(&fd);
            assert!(!is_readable(&fd));
        }
    }
}
