//! When to look for a device that is not there.

use std::time::{Duration, Instant};

/// How often a device that is not there is looked for.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// How often a device is lost at most in the long run, so that one that comes only to fail fills no log.
const EACH: Duration = Duration::from_secs(1);
/// How much of that it may have in advance: a hundred losses, one right after the other.
const ADVANCE: Duration = Duration::from_secs(100);

/// When the device is looked for next.
#[derive(Debug, Default)]
pub(super) struct Retry {
    at: Option<Instant>,
    /// The time that all losses so far stand for ends here.
    used_up: Option<Instant>,
}

impl Retry {
    /// When, if it is to be looked for.
    pub(super) const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// It need not be looked for any more.
    pub(super) fn never(&mut self) {
        self.at = None;
    }

    /// It is to be looked for at once.
    pub(super) fn now(&mut self) {
        self.at = Some(Instant::now());
    }

    /// It is not there.
    pub(super) fn soon(&mut self) {
        self.at = Some(Instant::now() + PAUSE);
    }

    /// It was there, and failed. The next one is looked for at once, unless that happens all the time.
    pub(super) fn after_a_loss(&mut self, now: Instant) {
        let used_up = self.used_up.map_or(now, |before| before.max(now)) + EACH;
        self.used_up = Some(used_up);
        self.at = Some(used_up.checked_sub(ADVANCE).map_or(now, |at| at.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_always_fails_is_looked_for_less_often_and_one_that_seldom_does_at_once() {
        let (mut retry, start) = (Retry::default(), Instant::now());
        let waits = |retry: &mut Retry, now: Instant| {
            retry.after_a_loss(now);
            retry.at().unwrap() - now
        };
        assert!((0..100).all(|_| waits(&mut retry, start).is_zero()));
        assert_eq!([0; 3].map(|_| waits(&mut retry, start).as_secs()), [1, 2, 3]);
        assert!(waits(&mut retry, start + 2 * ADVANCE).is_zero());
    }
}
