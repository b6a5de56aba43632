//! The backoff between attempts to open a sink or a source.

use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::error::AudioError;

/// The first delay between attempts.
const MIN_DELAY: Duration = Duration::from_millis(100);

/// The longest delay between attempts to open a sink.
const MAX_SINK_DELAY: Duration = Duration::from_secs(5);

/// The longest delay between attempts to open a source.
///
/// Each failed attempt of some sources leaves a thread and two file descriptors behind in GStreamer
/// 1.22, `pulsesrc` without a sound server among them.
const MAX_SOURCE_DELAY: Duration = Duration::from_secs(300);

/// How long a sink or a source has to work until its earlier failures are forgotten.
pub(crate) const STABLE_AFTER: Duration = Duration::from_secs(5);

/// Attempts with exponential backoff.
#[derive(Debug)]
pub(crate) struct Retry {
    /// When the next attempt is due; `None` if it is due now.
    next_attempt: Option<Instant>,
    delay: Duration,
    max_delay: Duration,
}

impl Retry {
    /// Creates a schedule for the sink of one take. The first attempt is due now.
    pub(crate) const fn of_a_sink() -> Self {
        Self { next_attempt: None, delay: MIN_DELAY, max_delay: MAX_SINK_DELAY }
    }

    /// Creates a schedule for the source, which all takes share: a guest that prepares and releases
    /// a stream over and over causes no more attempts than a guest that records.
    pub(crate) const fn of_the_source() -> Self {
        Self { next_attempt: None, delay: MIN_DELAY, max_delay: MAX_SOURCE_DELAY }
    }

    /// Returns the time until the next attempt is due.
    pub(crate) fn due_in(&self, now: Instant) -> Duration {
        self.next_attempt.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due_in(now).is_zero()
    }

    /// Logs the success of an attempt after failures.
    pub(crate) fn succeeded(&self) {
        if self.delay > MIN_DELAY {
            info!("reopened");
        }
    }

    /// Forgets earlier failures.
    pub(crate) fn reset(&mut self) {
        self.delay = MIN_DELAY;
    }

    /// Logs a failure, schedules the next attempt, and doubles the delay.
    pub(crate) fn failed(&mut self, error: &AudioError, now: Instant) {
        warn!("{error}; trying again in {:?}", self.delay);
        self.next_attempt = Some(now + self.delay);
        self.delay = (self.delay * 2).min(self.max_delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails each attempt that is due within `time`, and returns the number of attempts.
    fn attempts(retry: &mut Retry, time: Duration) -> usize {
        let start = Instant::now();
        let mut now = start;
        let mut attempts = 0;
        while now < start + time {
            if retry.is_due(now) {
                retry.failed(&AudioError::Failed("gone".into()), now);
                attempts += 1;
            }
            now += MIN_DELAY;
        }
        attempts
    }

    #[test]
    fn the_delays_of_a_sink_double_up_to_five_seconds_until_a_reset() {
        let mut retry = Retry::of_a_sink();
        let now = Instant::now();
        assert!(retry.is_due(now));
        for delay in [100, 200, 400, 800, 1600, 3200, 5000, 5000] {
            retry.failed(&AudioError::Failed("gone".into()), now);
            let delay = Duration::from_millis(delay);
            assert!(retry.is_due(now + delay) && !retry.is_due(now + delay - Duration::from_nanos(1)));
        }
        retry.reset();
        assert_eq!(retry.delay, MIN_DELAY);
    }

    #[test]
    fn a_source_that_fails_for_an_hour_is_tried_at_most_25_times() {
        let tried = attempts(&mut Retry::of_the_source(), Duration::from_secs(3600));
        assert!((12..=25).contains(&tried), "{tried}");
    }
}
