//! Requests that may crash devices: how many devices a request may cost, and how the request at
//! fault is found among those in flight with it.
//!
//! A request that was in flight when 63 devices were lost is a suspect. Suspects are submitted one
//! at a time: alone on their queue, and no other suspect is with the device. The last loss is
//! therefore that of one request, which fails.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::limits::MAX_LOSSES;
use crate::notifier;

/// Returns whether a request is submitted alone after this many losses.
pub(super) const fn is_suspect(losses: u8) -> bool {
    losses + 1 >= MAX_LOSSES
}

/// Admits one suspect at a time to the device. Clones share the place of all queues.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quarantine {
    state: Arc<Mutex<State>>,
    /// Told when the place is free again and a suspect waits for it.
    report: Option<Arc<OwnedFd>>,
}

#[derive(Debug, Default)]
struct State {
    occupied: bool,
    /// Whether a queue has a suspect that was not admitted.
    wanted: bool,
}

/// The place of a suspect that is with the device. Dropping the admission frees the place.
#[derive(Debug)]
pub(super) struct Admission(Quarantine);

impl Quarantine {
    /// Makes a free place. `report` is notified when a suspect that waits can be admitted.
    pub(crate) fn new(report: Arc<OwnedFd>) -> Self {
        Self { state: Arc::default(), report: Some(report) }
    }

    /// Admits a suspect, unless another one is with the device.
    pub(super) fn admit(&self) -> Option<Admission> {
        let mut state = self.state.lock();
        state.wanted |= state.occupied;
        (!std::mem::replace(&mut state.occupied, true)).then(|| Admission(self.clone()))
    }

    /// Returns whether a suspect that was refused can now be admitted. Later calls return `false`
    /// until another suspect is refused.
    pub(crate) fn take_vacancy(&self) -> bool {
        let mut state = self.state.lock();
        !state.occupied && std::mem::take(&mut state.wanted)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.occupied = false;
        if let Some(report) = self.0.report.as_ref().filter(|_| state.wanted) {
            notifier::notify(report);
        }
    }
}

/// A request that failed because devices were lost while they had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// The position of the request among those that the guest has made, if it is known.
    pub serial: Option<u64>,
    /// The bytes that the device reads.
    pub to_device: u64,
    /// The bytes that the device writes.
    pub from_device: u64,
}

impl fmt::Display for FailedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { serial, to_device, from_device } = self;
        if let Some(serial) = serial {
            write!(f, "number {serial}, ")?;
        }
        write!(f, "{to_device} bytes to the device and {from_device} from it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspect_that_waits_is_reported_once_when_the_place_is_free() {
        let quarantine = Quarantine::default();
        let first = quarantine.admit().unwrap();
        assert!(!quarantine.take_vacancy());
        assert!(quarantine.clone().admit().is_none());
        assert!(!quarantine.take_vacancy());
        drop(first);
        assert!(quarantine.take_vacancy() && !quarantine.take_vacancy());
        assert!(quarantine.admit().is_some());
        assert!(!quarantine.take_vacancy());
    }
}
