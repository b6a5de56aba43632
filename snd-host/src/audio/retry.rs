//! The backoff between attempts to open a sink or a source.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::error::AudioError;

/// The first delay between attempts.
const MIN_DELAY: Duration = Duration::from_millis(100);

/// The longest delay between attempts.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// How long a sink or a source has to work until its earlier failures are forgotten.
pub(super) const STABLE_AFTER: Duration = MAX_DELAY;

/// Attempts with exponential backoff.
#[derive(Debug)]
pub(super) struct Retry {
    next_attempt: Instant,
    delay: Duration,
}

impl Retry {
    /// Creates a schedule whose first attempt is due now.
    pub(super) fn new() -> Self {
        Self { next_attempt: Instant::now(), delay: MIN_DELAY }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next_attempt
    }

    /// Logs the success of an attempt after failures.
    pub(super) fn succeeded(&self) {
        if self.delay > MIN_DELAY {
            info!("reopened");
        }
    }

    /// Forgets earlier failures.
    pub(super) fn reset(&mut self) {
        self.delay = MIN_DELAY;
    }

    /// Logs a failure, schedules the next attempt, and doubles the delay.
    pub(super) fn failed(&mut self, error: &AudioError) {
        warn!("{error}; trying again in {:?}", self.delay);
        self.next_attempt = Instant::now() + self.delay;
        self.delay = (self.delay * 2).min(MAX_DELAY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_seconds_until_a_reset() {
        let mut retry = Retry::new();
        assert!(retry.is_due());
        for delay in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            assert_eq!(retry.delay, Duration::from_millis(delay));
            retry.failed(&AudioError::Failed("gone".into()));
            assert!(!retry.is_due());
        }
        retry.reset();
        assert_eq!(retry.delay, MIN_DELAY);
    }
}
