//! The log of dirty pages, which a VMM needs to migrate a running guest.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::mmap::Window;

/// The granularity of the log, which vhost-user defines independently of the guest's page size.
const LOG_PAGE: u64 = 4096;

/// A bitmap with one bit for each page, in the order of guest addresses. Clones share the bitmap.
#[derive(Clone, Default)]
pub(super) struct DirtyLog {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Whether there is a bitmap. While there is no bitmap, this flag saves the lock on each write.
    on: AtomicBool,
    bitmap: RwLock<Option<Window>>,
}

impl DirtyLog {
    /// Sets the bitmap, or disables the log.
    pub(super) fn set(&self, bitmap: Option<Window>) {
        let on = bitmap.is_some();
        *self.inner.bitmap.write() = bitmap;
        self.inner.on.store(on, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.inner.on.load(Ordering::Relaxed)
    }

    /// Marks the pages of `len` bytes at `address` as dirty.
    ///
    /// Call `mark` after the write. A VMM that finds the mark clears it before the VMM copies the
    /// page, so the copy includes the write.
    #[inline]
    pub(super) fn mark(&self, address: u64, len: u64) {
        if !self.is_on() {
            return;
        }
        if let Some(bitmap) = &*self.inner.bitmap.read() {
            mark_pages(bitmap, address, len);
        }
    }
}

#[cold]
fn mark_pages(bitmap: &Window, address: u64, len: u64) {
    let Some(last) = len.checked_sub(1).map(|more| address.saturating_add(more)) else { return };
    for page in address / LOG_PAGE..=last / LOG_PAGE {
        // The VMM does not migrate pages beyond the end of the log.
        if bitmap.set_bits(page / 8, 1 << (page % 8)).is_err() {
            return;
        }
    }
}

impl fmt::Debug for DirtyLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.bitmap.read().fmt(f)
    }
}
