//! How long a worker polls before it sleeps.

use std::time::Duration;

/// The shortest window other than zero.
const MIN_WINDOW: Duration = Duration::from_micros(4);

/// An adaptive poll window.
///
/// A sleep shorter than the maximum doubles the window, because polling would have avoided the
/// sleep. A longer sleep halves the window, because polling before it was wasted.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollWindow {
    window: Duration,
    max: Duration,
}

impl PollWindow {
    /// Makes a window that is zero at first and never longer than `max`.
    pub(super) const fn new(max: Duration) -> Self {
        Self { window: Duration::ZERO, max }
    }

    /// Returns how long to poll now.
    pub(super) const fn get(&self) -> Duration {
        self.window
    }

    /// Adapts the window after polling without success, followed by a sleep of this length.
    pub(super) fn slept(&mut self, sleep: Duration) {
        self.window = if sleep <= self.max {
            (self.window * 2).max(MIN_WINDOW).min(self.max)
        } else if self.window > MIN_WINDOW {
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
    fn a_maximum_of_zero_disables_polling() {
        let mut window = PollWindow::new(Duration::ZERO);
        for sleep in [0, 1, 1000] {
            window.slept(sleep * MICROSECOND);
            assert_eq!(window.get(), Duration::ZERO);
        }
    }

    #[test]
    fn short_sleeps_double_the_window_and_long_sleeps_halve_it() {
        let mut window = PollWindow::new(30 * MICROSECOND);
        let mut windows = |sleep: Duration| {
            [0; 5].map(|_| {
                window.slept(sleep);
                u64::try_from(window.get().as_micros()).unwrap()
            })
        };
        assert_eq!(windows(20 * MICROSECOND), [4, 8, 16, 30, 30]);
        assert_eq!(windows(40 * MICROSECOND), [15, 7, 3, 0, 0]);
    }
}
