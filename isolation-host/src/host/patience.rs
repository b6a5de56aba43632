//! How long to poll before sleeping.

use std::time::Duration;

/// The shortest window that is worth opening.
const LEAST: Duration = Duration::from_micros(4);

/// A window for polling that is open only as long as it pays.
///
/// A sleep that was so short that polling would have spared it widens the window; a longer one narrows it, because
/// what was polled before it was in vain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    window: Duration,
    most: Duration,
}

impl Patience {
    /// A window that is closed at first, and never open for longer than `most`.
    pub(super) const fn new(most: Duration) -> Self {
        Self { window: Duration::ZERO, most }
    }

    /// How long to poll now.
    pub(super) const fn window(&self) -> Duration {
        self.window
    }

    /// After it was polled in vain there was nothing to do for that long.
    pub(super) fn slept(&mut self, sleep: Duration) {
        self.window = if sleep <= self.most {
            (self.window * 2).max(LEAST).min(self.most)
        } else if self.window > LEAST {
            self.window / 2
        } else {
            Duration::ZERO
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MICROSECOND: Duration = Duration::from_micros(1);

    #[test]
    fn who_may_not_poll_never_does() {
        let mut patience = Patience::new(Duration::ZERO);
        for sleep in [0, 1, 1000] {
            patience.slept(sleep * MICROSECOND);
            assert_eq!(patience.window(), Duration::ZERO);
        }
    }

    #[test]
    fn short_sleeps_widen_the_window_to_its_limit_and_long_ones_close_it() {
        let mut patience = Patience::new(30 * MICROSECOND);
        let mut windows = |sleep: Duration| {
            [0; 5].map(|_| {
                patience.slept(sleep);
                u64::try_from(patience.window().as_micros()).unwrap()
            })
        };
        assert_eq!(windows(20 * MICROSECOND), [4, 8, 16, 30, 30]);
        assert_eq!(windows(40 * MICROSECOND), [15, 7, 3, 0, 0]);
    }
}
