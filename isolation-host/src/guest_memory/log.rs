//! The log of pages that were written, from which a guest is migrated while it runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;

use crate::mmap::Window;

/// The granularity of the log, whatever the guest's pages are.
const LOG_PAGE: u64 = 4096;

/// The log of dirty pages: a bit for each, in the order of addresses.
#[derive(Clone, Default)]
pub(super) struct Log {
    inner: Arc<LogInner>,
}

#[derive(Default)]
struct LogInner {
    /// Whether there is a bitmap, so that nobody else has to lock it to find out.
    on: AtomicBool,
    bitmap: RwLock<Option<Window>>,
}

impl Log {
    /// Notes every write from now on in this bitmap; or no longer.
    pub(super) fn set(&self, bitmap: Option<Window>) {
        let on = bitmap.is_some();
        *self.inner.bitmap.write() = bitmap;
        self.inner.on.store(on, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.inner.on.load(Ordering::Relaxed)
    }

    /// Notes that `len` bytes at `address` have been written.
    ///
    /// It comes after the write: whoever takes the mark away before it copies the page sees the write.
    #[inline]
    pub(super) fn mark(&self, address: u64, len: u64) {
        if self.is_on()
            && let Some(bitmap) = &*self.inner.bitmap.read()
        {
            mark_pages(bitmap, address, len);
        }
    }
}

#[cold]
fn mark_pages(bitmap: &Window, address: u64, len: u64) {
    let Some(last) = len.checked_sub(1).map(|more| address.saturating_add(more)) else { return };
    for page in address / LOG_PAGE..=last / LOG_PAGE {
        // A page beyond the log's end is one that the VMM does not migrate.
        if bitmap.set_bits(page / 8, 1 << (page % 8)).is_err() {
            return;
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.bitmap.read().fmt(f)
    }
}
