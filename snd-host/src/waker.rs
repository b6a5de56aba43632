//! A file that other threads make readable to wake an event loop.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::event::{EventfdFlags, eventfd};

/// Wakes an event loop that waits for it to be readable.
#[derive(Debug)]
pub(crate) struct Waker(OwnedFd);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Wakes the loop. What was done before this, the loop sees.
    pub(crate) fn wake(&self) {
        // Fails only if it is as readable as can be.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// The loop is awake, and will look at everything after this.
    pub(crate) fn clear(&self) {
        // Fails only if nobody has woken the loop.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
