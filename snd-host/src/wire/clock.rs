//! The clock that both processes read.

use rustix::time::{ClockId, clock_gettime};

/// Returns the time of CLOCK_MONOTONIC in nanoseconds.
pub fn monotonic_nanos() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(now.tv_nsec).unwrap_or_default())
}
