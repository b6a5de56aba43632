//! Noticing that an administrator removes the device.
//!
//! `vdpa dev del` removes the file of the device and then waits until the device is closed. The
//! kernel reports nothing to the process that has the device open, but the removal of the file can
//! be watched.

use std::fmt::Debug;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use rustix::fs::fstat;
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

/// A watch of the device's file.
#[derive(Debug)]
pub(super) struct Removal {
    /// `None` if the system does not let the process watch the file.
    watch: Option<OwnedFd>,
}

impl Removal {
    /// Watches the file that is open as `device`.
    pub(super) fn watch(device: BorrowedFd<'_>) -> Self {
        let path = format!("/proc/self/fd/{}", device.as_raw_fd());
        let watch = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).and_then(|watch| {
            add_watch(&watch, path, WatchFlags::ATTRIB | WatchFlags::DELETE_SELF).map(|_| watch)
        });
        let watch = watch.inspect_err(|error| {
            tracing::warn!(
                "cannot watch the vDPA device, so its removal will wait for this process: {error}"
            );
        });
        Self { watch: watch.ok() }
    }

    /// Returns the file descriptor that is readable after the file has changed.
    pub(super) fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// Returns whether the file of `device` has been removed. Forgets that it has changed.
    pub(super) fn has_happened(&self, device: BorrowedFd<'_>) -> bool {
        if let Some(watch) = &self.watch {
            while rustix::io::read(watch, &mut [0; 4096]).is_ok_and(|read| read > 0) {}
        }
        fstat(device).is_ok_and(|file| file.st_nlink == 0)
    }
}
