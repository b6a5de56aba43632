//! The clock that both processes read.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// Returns the time of CLOCK_MONOTONIC in nanoseconds.
pub fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or_default())
}

/// The number of times that the clock is read in both ways. The closest two readings count, because
/// the thread may be held up between two readings.
const COMPARISONS: usize = 3;

/// Converts an [`Instant`] of this process to the time that both processes read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SharedClock {
    at: Instant,
    nanos: u64,
}

impl SharedClock {
    /// Creates a clock that reads `nanos` at the time `at`.
    pub(crate) const fn new(at: Instant, nanos: u64) -> Self {
        Self { at, nanos }
    }

    /// Reads the clock in both ways.
    pub(crate) fn read() -> Self {
        let compare = |_| {
            let before = monotonic_nanos();
            let at = Instant::now();
            (monotonic_nanos() - before, Self::new(at, before))
        };
        let closest = (0..COMPARISONS).map(compare).min_by_key(|(distance, _)| *distance);
        closest.map_or_else(|| Self::new(Instant::now(), monotonic_nanos()), |(_, clock)| clock)
    }

    /// Returns the time of CLOCK_MONOTONIC in nanoseconds at the time `now`.
    pub(crate) fn nanos(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.at).as_nanos();
        self.nanos.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}
