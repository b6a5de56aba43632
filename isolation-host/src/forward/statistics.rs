//! Counters of a queue.

use std::fmt;

use super::device_ring::ForwardError;

/// Counters of one queue since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// The number of requests returned to the guest.
    pub requests: u64,
    /// The number of bytes copied from the guest to the device.
    pub to_device: u64,
    /// The number of bytes copied from the device to the guest.
    pub to_guest: u64,
    /// The number of notifications from the guest.
    pub kicks_in: u64,
    /// The number of notifications to the device.
    pub kicks_out: u64,
    /// The number of notifications from the device.
    pub calls_in: u64,
    /// The number of notifications to the guest.
    pub calls_out: u64,
    /// The number of requests that were not forwarded and were returned to the guest with an error.
    pub refused: u64,
    /// The number of violations of ring rules by the guest or the device.
    pub violations: u64,
}

impl Statistics {
    /// Counts a refused request.
    ///
    /// Logs a warning for the first refused request only, because a guest must not be able to fill
    /// the log.
    pub(super) fn count_refusal(&mut self, error: ForwardError) {
        match self.refused {
            0 => {
                tracing::warn!("refusing a request: {error}; further refusals of this queue are only counted")
            }
            _ => tracing::debug!("refusing a request: {error}"),
        }
        self.refused += 1;
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            to_device,
            to_guest,
            kicks_in,
            kicks_out,
            calls_in,
            calls_out,
            refused,
            violations,
        } = self;
        write!(
            f,
            "{requests} requests, {to_device} bytes to the device, {to_guest} to the guest; \
             kicks {kicks_in} in, {kicks_out} out; calls {calls_in} in, {calls_out} out; \
             {refused} refused, {violations} violations"
        )
    }
}
