//! Notifications: event file descriptors.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{read, write};

/// Makes an event file descriptor that never blocks.
///
/// # Errors
///
/// If the process may have no more of them.
pub fn new() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Sees to it that a peer's file descriptor does not block us.
///
/// # Errors
///
/// What the system says.
pub fn unblock(fd: impl AsFd) -> io::Result<()> {
    Ok(fcntl_setfl(&fd, fcntl_getfl(&fd)? | OFlags::NONBLOCK)?)
}

/// Notifies. One that has not been taken yet will do for both.
pub fn notify(fd: impl AsFd) {
    if let Err(error) = write(fd, &1u64.to_ne_bytes())
        && error != rustix::io::Errno::AGAIN
    {
        tracing::debug!("a notification got lost: {error}");
    }
}

/// Takes all notifications that have come in.
pub fn take(fd: impl AsFd) {
    // Nothing to take is fine, too.
    let _ = read(fd, &mut [0u8; 8]);
}
