//! When a connection that cannot be established is tried again.

use std::fmt;
use std::time::{Duration, Instant};

/// The interval between attempts to connect to a missing peer, or to accept one.
pub(crate) const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// When the next attempt is due, and whether the reason of the last failure was logged.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    at: Option<Instant>,
    /// Whether a failure was logged since the last success. Only the first failure is logged.
    logged: bool,
}

impl Retry {
    /// Returns when the next attempt is due, if it has to wait.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.at
    }

    /// Returns whether an attempt that had to wait is due now.
    pub(crate) fn take_due(&mut self, now: Instant) -> bool {
        self.at.take_if(|at| *at <= now).is_some()
    }

    /// Sets the next attempt one interval after `now`.
    pub(crate) fn later(&mut self, now: Instant) {
        self.at = Some(now + RETRY_INTERVAL);
    }

    /// Logs that `what` has failed with `error`, unless a failure was logged since the last
    /// success.
    pub(crate) fn log(&mut self, what: impl fmt::Display, error: impl fmt::Display) {
        if !std::mem::replace(&mut self.logged, true) {
            tracing::warn!("cannot {what}: {error}");
        }
    }

    /// Notes that an attempt has succeeded, so that the next failure is logged. The deadline
    /// remains, because another attempt may have failed.
    pub(crate) const fn succeeded(&mut self) {
        self.logged = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_due_once_after_the_interval_whatever_succeeds_meanwhile() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        assert!(!retry.take_due(now));
        retry.later(now);
        retry.succeeded();
        assert_eq!(retry.deadline(), Some(now + RETRY_INTERVAL));
        assert!(!retry.take_due(now + RETRY_INTERVAL / 2));
        assert!(retry.take_due(now + RETRY_INTERVAL));
        assert!(retry.deadline().is_none() && !retry.take_due(now + RETRY_INTERVAL));
    }
}
