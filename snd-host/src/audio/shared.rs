//! State that the event loop shares with the thread of a sink or a source.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Some state, whose changes a thread can wait for. Each lock is held for moments only, and never both.
#[derive(Debug)]
pub(super) struct Shared<T> {
    state: Mutex<T>,
    /// Whether something has changed since the thread last waited.
    news: Mutex<bool>,
    changed: Condvar,
}

impl<T> Shared<T> {
    pub(super) const fn new(state: T) -> Self {
        Self { state: Mutex::new(state), news: Mutex::new(true), changed: Condvar::new() }
    }

    /// The state. What is changed through this does not wake the thread.
    pub(super) fn get(&self) -> MutexGuard<'_, T> {
        lock(&self.state)
    }

    /// Changes something, and wakes the thread.
    pub(super) fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.get());
        *lock(&self.news) = true;
        self.changed.notify_all();
    }

    /// Waits for news, at most for `limit`.
    pub(super) fn wait(&self, limit: Duration) {
        let woken = self.changed.wait_timeout_while(lock(&self.news), limit, |news| !*news);
        *woken.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// Locks. A thread that panicked with the lock held leaves nothing half done: every change is one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
