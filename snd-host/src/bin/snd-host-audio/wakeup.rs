//! What wakes the thread of a take, and how long the thread has not come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use snd_host::wire::monotonic_nanos;

/// Wakes the thread of a take.
#[derive(Debug, Default)]
pub(crate) struct Wakeup {
    /// Whether the thread was woken since it last waited.
    woken: Mutex<bool>,
    changed: Condvar,
    /// When the thread entered a call that waits for its sink or source, in nanoseconds; 0 outside
    /// of such calls.
    busy_since: AtomicU64,
}

impl Wakeup {
    /// Wakes the thread.
    pub(crate) fn wake(&self) {
        *lock(&self.woken) = true;
        self.changed.notify_all();
    }

    /// Waits until the thread was woken since the last wait, or until `timeout` has passed.
    pub(crate) fn wait(&self, timeout: Option<Duration>) {
        // Longer than any wait, so as good as no timeout.
        let timeout = timeout.unwrap_or(Duration::from_secs(u32::MAX.into()));
        let woken = self.changed.wait_timeout_while(lock(&self.woken), timeout, |woken| !*woken);
        *woken.unwrap_or_else(PoisonError::into_inner).0 = false;
    }

    /// Makes a call that may wait for a sink or a source.
    pub(crate) fn busy<T>(&self, call: impl FnOnce() -> T) -> T {
        self.busy_since.store(monotonic_nanos(), Ordering::Relaxed);
        let result = call();
        self.busy_since.store(0, Ordering::Relaxed);
        result
    }

    /// Returns how long the thread has been in such a call.
    pub(crate) fn busy_for(&self) -> Duration {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(monotonic_nanos().saturating_sub(since)),
        }
    }
}

/// Locks a mutex. A poisoned mutex is used as well: each change is one step, so a thread that
/// panicked leaves no change half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
