//! When a worker zeroes the bytes that devices have read.

use std::time::{Duration, Instant};

use crate::area::policy::SCRUB_INTERVAL;

/// The time of the next zeroing. Bytes stay for at most [`SCRUB_INTERVAL`], and a queue under load
/// is interrupted once in this time.
#[derive(Debug, Default)]
pub(super) struct ScrubTimer {
    due: Option<Instant>,
}

impl ScrubTimer {
    /// Notes whether there are bytes to zero. Returns whether to zero them now.
    pub(super) fn is_due(&mut self, residue: bool, now: Instant) -> bool {
        if !residue {
            self.due = None;
            return false;
        }
        *self.due.get_or_insert(now + SCRUB_INTERVAL) <= now
    }

    /// Notes that all bytes were zeroed.
    pub(super) const fn done(&mut self) {
        self.due = None;
    }

    /// Returns how long the worker may sleep.
    pub(super) fn timeout(&self, now: Instant) -> Option<Duration> {
        self.due.map(|due| due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_stay_for_at_most_the_interval_under_any_load() {
        let (mut timer, start) = (ScrubTimer::default(), Instant::now());
        let step = Duration::from_millis(7);
        let mut oldest = None;
        for now in (0..1000).map(|count| start + count * step) {
            // There are always new bytes.
            let since = *oldest.get_or_insert(now);
            assert!(now - since <= SCRUB_INTERVAL + step);
            if timer.is_due(true, now) {
                timer.done();
                oldest = None;
            } else {
                assert!(timer.timeout(now).unwrap() <= SCRUB_INTERVAL);
            }
        }
    }

    #[test]
    fn without_bytes_to_zero_a_worker_sleeps_without_limit() {
        let (mut timer, now) = (ScrubTimer::default(), Instant::now());
        assert!(!timer.is_due(true, now) && timer.timeout(now).is_some());
        assert!(!timer.is_due(false, now + SCRUB_INTERVAL));
        assert_eq!(timer.timeout(now), None);
    }
}
