//! The deadline of a queue's stop. `queue_stop.rs` chooses how long the stop waits.

use std::time::{Duration, Instant};

/// A wait for the requests in flight of a queue that is being stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drain {
    /// The index of the queue.
    pub(super) index: usize,
    /// The number of requests in flight when they were last counted.
    left: usize,
    /// When the queue is stopped with requests unfinished. Progress may move the deadline.
    deadline: Instant,
    /// The latest deadline, whatever the progress.
    end: Instant,
}

impl Drain {
    /// Begins to wait for `timeout`, and in all for at most `longest`.
    pub(super) fn begin(
        index: usize,
        left: usize,
        timeout: Duration,
        longest: Duration,
        now: Instant,
    ) -> Self {
        Self { index, left, deadline: now + timeout, end: now + longest }
    }

    /// Notes how many requests are in flight. If requests were finished and there is a `timeout`,
    /// the wait begins again, but its end stays: a device that finishes a request from time to time
    /// does not hold up the VMM.
    pub(super) fn count(&mut self, left: usize, timeout: Option<Duration>, now: Instant) {
        if let Some(timeout) = timeout.filter(|_| left < self.left) {
            self.deadline = self.end.min(now + timeout);
        }
        self.left = left;
    }

    /// Returns whether the queue is to be stopped.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.left == 0 || self.deadline <= now
    }

    /// Returns when the queue is stopped at the latest, if nothing changes.
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(2);

    #[test]
    fn progress_prolongs_a_stop_but_not_beyond_its_end() {
        let start = Instant::now();
        let mut drain = Drain::begin(0, 1000, TIMEOUT, LONGEST, start);
        let mut now = start;
        for left in (0..1000).rev() {
            now += TIMEOUT - Duration::from_millis(1);
            if drain.is_over(now) {
                break;
            }
            drain.count(left, Some(TIMEOUT), now);
        }
        assert_eq!(drain.deadline(), start + LONGEST);
        assert!(drain.is_over(start + LONGEST));
    }

    #[test]
    fn a_stop_without_progress_ends_after_the_timeout() {
        let now = Instant::now();
        let mut drain = Drain::begin(0, 2, TIMEOUT, LONGEST, now);
        drain.count(2, Some(TIMEOUT), now + TIMEOUT / 2);
        assert_eq!(drain.deadline(), now + TIMEOUT);
        // Progress without a timeout does not prolong the wait.
        drain.count(1, None, now + TIMEOUT / 2);
        assert!(!drain.is_over(now + TIMEOUT / 2) && drain.is_over(now + TIMEOUT));
        drain.count(0, None, now);
        assert!(drain.is_over(now));
    }
}
