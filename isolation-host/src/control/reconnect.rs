//! When to connect to the device again.

use std::time::{Duration, Instant};

use crate::retry::RETRY_INTERVAL;

/// The shortest mean interval between two losses of the device.
///
/// Without a limit, a device that always fails would fill the log.
const LOSS_INTERVAL: Duration = Duration::from_secs(1);
/// How far `accounted` may lie in the future before a reconnection is delayed: 100 losses.
const BURST: Duration = Duration::from_secs(100);

/// When to try to connect to the device.
///
/// A lost device is reconnected immediately up to 100 times, then once a second.
#[derive(Debug, Default)]
pub(super) struct Reconnect {
    deadline: Option<Instant>,
    /// The end of the time that all losses so far account for, at one [`LOSS_INTERVAL`] each.
    accounted: Option<Instant>,
}

impl Reconnect {
    /// Returns when to connect, if at all.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Cancels the next attempt.
    pub(super) const fn cancel(&mut self) {
        self.deadline = None;
    }

    /// Connects at this time.
    pub(super) const fn at(&mut self, at: Instant) {
        self.deadline = Some(at);
    }

    /// Connects after [`RETRY_INTERVAL`], because the peer is missing.
    pub(super) fn soon(&mut self, now: Instant) {
        self.deadline = Some(now + RETRY_INTERVAL);
    }

    /// Connects after the loss of a device: immediately, or later if there were many losses.
    pub(super) fn after_loss(&mut self, now: Instant) {
        let accounted = self.accounted.map_or(now, |before| before.max(now)) + LOSS_INTERVAL;
        self.accounted = Some(accounted);
        self.deadline = Some(accounted.checked_sub(BURST).map_or(now, |at| at.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_hundred_losses_the_device_is_retried_once_a_second() {
        let (mut reconnect, start) = (Reconnect::default(), Instant::now());
        let waits = |reconnect: &mut Reconnect, now: Instant| {
            reconnect.after_loss(now);
            reconnect.deadline().unwrap() - now
        };
        assert!((0..100).all(|_| waits(&mut reconnect, start).is_zero()));
        assert_eq!([0; 3].map(|_| waits(&mut reconnect, start).as_secs()), [1, 2, 3]);
        assert!(waits(&mut reconnect, start + 2 * BURST).is_zero());
    }
}
