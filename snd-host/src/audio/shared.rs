//! State that the event loop shares with the thread of a take.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Shared state whose updates wake a thread.
///
/// The locks of `state` and `updated` are held only briefly, and never at the same time.
#[derive(Debug)]
pub(super) struct Shared<T> {
    state: Mutex<T>,
    /// Whether the state was updated since the thread last waited.
    updated: Mutex<bool>,
    wakeup: Condvar,
}

impl<T> Shared<T> {
    pub(super) const fn new(state: T) -> Self {
        Self { state: Mutex::new(state), updated: Mutex::new(true), wakeup: Condvar::new() }
    }

    /// Locks the state. Changes made through the guard do not wake the thread.
    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        lock(&self.state)
    }

    /// Updates the state and wakes the thread.
    pub(super) fn update(&self, update: impl FnOnce(&mut T)) {
        update(&mut self.lock());
        self.wake();
    }

    /// Wakes the thread.
    pub(super) fn wake(&self) {
        *lock(&self.updated) = true;
        self.wakeup.notify_all();
    }

    /// Waits until the thread was woken since the last wait, or until `timeout` has passed.
    pub(super) fn wait(&self, timeout: Option<Duration>) {
        // Longer than any wait, so as good as no timeout.
        let timeout = timeout.unwrap_or(Duration::from_secs(u32::MAX.into()));
        let woken = self.wakeup.wait_timeout_while(lock(&self.updated), timeout, |updated| !*updated);
        *woken.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Locks a mutex. A poisoned mutex is used as well: each change is one step, so a thread that
/// panicked leaves no change half done.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
