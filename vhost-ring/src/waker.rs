//! A file through which any thread can wake the event loop.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

/// Wakes the event loop that polls this file for input. Clones share the file.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    /// Creates a waker whose file is not ready for reading.
    pub(crate) fn new() -> io::Result<Self> {
        let file = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self(Arc::new(file)))
    }

    /// Makes the file ready for reading. The event loop sees every change made before this call.
    pub fn wake(&self) {
        // Fails only if the counter is at its maximum, and then the file is ready for reading
        // already.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Resets the waker: the file is no longer ready for reading. Call `clear` before looking for
    /// changes, so that no change is missed.
    pub fn clear(&self) {
        // Fails only if the file is not ready for reading anyway.
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for Waker {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
