//! When to try again to open a sink or a source.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::AudioError;

/// The first and the last pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How long something has to work until earlier failures are forgotten.
pub(super) const GOOD: Duration = PAUSES.1;

/// Attempts, with longer and longer pauses between them.
#[derive(Debug)]
pub(super) struct Retry {
    at: Instant,
    pause: Duration,
}

impl Retry {
    /// The first attempt may be made at once.
    pub(super) fn new() -> Self {
        Self { at: Instant::now(), pause: PAUSES.0 }
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    /// An attempt has worked.
    pub(super) fn worked(&self) {
        if self.pause > PAUSES.0 {
            info!("open again");
        }
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.pause = PAUSES.0;
    }

    /// Something has failed.
    pub(super) fn later(&mut self, error: &AudioError) {
        warn!("{error}; trying again in {:?}", self.pause);
        self.at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(PAUSES.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_seconds_and_begin_anew_after_a_good_while() {
        let mut retry = Retry::new();
        assert!(retry.is_due());
        for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            assert_eq!(retry.pause, Duration::from_millis(pause));
            retry.later(&AudioError::Failed("gone".into()));
            assert!(!retry.is_due());
        }
        retry.forget();
        assert_eq!(retry.pause, PAUSES.0);
    }
}
