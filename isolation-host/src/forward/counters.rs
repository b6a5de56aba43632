//! What a queue has done since the process started.
//!
//! The worker changes the counters while it holds the lock of the queue. The control thread changes
//! the counters after it has taken the queue out under the lock. Any thread reads the counters
//! without the lock. All accesses are relaxed, because a counter orders nothing else.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::device_ring::ForwardError;

/// A number that one thread at a time changes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds a number. The caller has the lock of the queue, or has taken the queue out.
    ///
    /// So there is one writer at a time, and the addition need not be atomic. An atomic addition
    /// would take longer than the rest of the accounting.
    pub fn add(&self, number: u64) {
        self.set(self.get().wrapping_add(number));
    }

    /// Sets the number. The caller has the lock of the queue, or has taken the queue out.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Returns the number.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of one queue, for the life of the process.
#[derive(Debug, Default)]
pub struct QueueCounters {
    /// The number of requests returned to the guest.
    pub requests: Counter,
    /// The number of bytes copied from the guest to the device.
    pub to_device: Counter,
    /// The number of bytes copied from the device to the guest.
    pub to_guest: Counter,
    /// The number of notifications from the guest.
    pub kicks_in: Counter,
    /// The number of notifications to the device.
    pub kicks_out: Counter,
    /// The number of notifications from the device.
    pub calls_in: Counter,
    /// The number of notifications to the guest.
    pub calls_out: Counter,
    /// The number of requests that were not forwarded and were returned to the guest with an error.
    pub refused: Counter,
    /// The number of violations of ring rules by the guest or the device.
    pub violations: Counter,
    /// The number of requests that the guest has not got back, at the end of the last round.
    pub in_flight: Counter,
    /// The number of bytes of the isolated area that the queue used at the end of the last round.
    pub area_used: Counter,
}

impl QueueCounters {
    /// Sets the numbers of what the queue holds to 0, because the queue has ended.
    pub(crate) fn hold_nothing(&self) {
        self.in_flight.set(0);
        self.area_used.set(0);
    }
}

/// The refused requests of a queue since it was started.
///
/// Logs a warning for the first of them only, because a guest must not be able to fill the log.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    warned: bool,
}

impl Refusals {
    /// Counts a refused request.
    pub(super) fn count(&mut self, counters: &QueueCounters, error: ForwardError) {
        counters.refused.add(1);
        if self.warned {
            tracing::debug!("refusing a request: {error}");
        } else {
            self.warned = true;
            tracing::warn!("refusing a request: {error}; further refusals of this queue are only counted");
        }
    }
}

impl fmt::Display for QueueCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} requests, {} bytes to the device, {} to the guest; kicks {} in, {} out; calls {} in, {} out; \
             {} refused, {} violations",
            self.requests.get(),
            self.to_device.get(),
            self.to_guest.get(),
            self.kicks_in.get(),
            self.kicks_out.get(),
            self.calls_in.get(),
            self.calls_out.get(),
            self.refused.get(),
            self.violations.get()
        )
    }
}
