//! An eventfd with which other threads wake an event loop.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};

/// Wakes an event loop that polls this file descriptor.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    /// Creates a waker that is not readable.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the event loop. The event loop sees every change made before this call.
    pub(crate) fn wake(&self) {
        // Fails only if the counter is at its maximum, and then the file is readable already.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Makes the waker unreadable. Call before looking for changes, so that none is missed.
    pub(crate) fn clear(&self) {
        // Fails only if the waker is unreadable already.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
