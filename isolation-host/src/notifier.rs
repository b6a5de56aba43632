//! Notifications: event file descriptors.
//!
//! They are not read: each write is an event for whoever [waits](crate::host) for it, whatever was written before.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::write;
use rustix::pipe::{PipeFlags, pipe_with};

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
/// It is a pipe, which is read like an event file descriptor. Of that, either side has the same open file, so the peer
/// could fill it and let it block whoever notifies.
///
/// # Errors
///
/// If the process may have no more of them.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

/// Notifies. One that has not been taken yet will do for both.
pub fn notify(fd: impl AsFd) {
    if let Err(error) = write(fd, &1u64.to_ne_bytes())
        && error != rustix::io::Errno::AGAIN
    {
        tracing::debug!("a notification got lost: {error}");
    }
}
