//! Trials of suspects: one at a time, over all queues of a device.
//!
//! See [`suspicion`](super::suspicion) for which requests are suspects.

use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::limits::TRIAL;
use crate::notifier;

/// Admits one suspect at a time to the device. Each queue has a clone of the quarantine; the clones
/// share the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quarantine {
    state: Arc<Mutex<State>>,
    /// Notified when the control thread has to look at the quarantine.
    report: Option<Arc<OwnedFd>>,
}

#[derive(Debug, Default)]
struct State {
    /// The number of the last trial.
    last: u64,
    /// The time until which the last trial excludes another trial; `None` if the last trial has
    /// ended.
    until: Option<Instant>,
    /// Whether a queue has a suspect that was not admitted.
    wanted: bool,
}

/// The admission of a suspect to the device. Dropping the admission ends the trial.
#[derive(Debug)]
pub(super) struct Admission {
    quarantine: Quarantine,
    number: u64,
}

impl Quarantine {
    /// Makes a quarantine while no suspect is with the device. `report` is notified when the
    /// control thread has to call [`take_vacancy`](Self::take_vacancy) or look at
    /// [`deadline`](Self::deadline) again.
    pub(crate) fn new(report: Arc<OwnedFd>) -> Self {
        Self { state: Arc::default(), report: Some(report) }
    }

    /// Admits a suspect, unless another suspect has been with the device for less than [`TRIAL`].
    ///
    /// A request that takes longer than a trial stays with the device, beside the next suspect.
    pub(super) fn admit(&self, now: Instant) -> Option<Admission> {
        let mut state = self.state.lock();
        if state.is_occupied(now) {
            if !std::mem::replace(&mut state.wanted, true) {
                self.notify();
            }
            return None;
        }
        (state.last, state.until) = (state.last + 1, Some(now + TRIAL));
        Some(Admission { quarantine: self.clone(), number: state.last })
    }

    /// Returns whether a suspect that was refused can now be admitted. Later calls return `false`
    /// until another suspect is refused.
    pub(crate) fn take_vacancy(&self, now: Instant) -> bool {
        let mut state = self.state.lock();
        !state.is_occupied(now) && std::mem::take(&mut state.wanted)
    }

    /// Returns the latest time at which to call [`take_vacancy`](Self::take_vacancy).
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let state = self.state.lock();
        state.until.filter(|_| state.wanted)
    }

    fn notify(&self) {
        self.report.iter().for_each(notifier::notify);
    }
}

impl State {
    fn is_occupied(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.quarantine.state.lock();
        if state.last == self.number {
            state.until = None;
            if state.wanted {
                self.quarantine.notify();
            }
        }
    }
}

/// A request that failed because several devices were lost while they had the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// The position of the request among those that the guest has made, if it is known.
    pub serial: Option<u64>,
    /// The number of bytes that the device reads.
    pub to_device: u64,
    /// The number of bytes that the device writes.
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
        let (quarantine, now) = (Quarantine::default(), Instant::now());
        let first = quarantine.admit(now).unwrap();
        assert!(!quarantine.take_vacancy(now) && quarantine.deadline().is_none());
        assert!(quarantine.clone().admit(now).is_none());
        assert!(!quarantine.take_vacancy(now));
        assert_eq!(quarantine.deadline(), Some(now + TRIAL));
        drop(first);
        assert!(quarantine.take_vacancy(now) && !quarantine.take_vacancy(now));
        assert!(quarantine.admit(now).is_some());
        assert!(!quarantine.take_vacancy(now));
    }

    #[test]
    fn a_suspect_that_takes_long_does_not_delay_the_others_further() {
        let (quarantine, now) = (Quarantine::default(), Instant::now());
        let slow = quarantine.admit(now).unwrap();
        assert!(quarantine.admit(now).is_none());
        assert!(quarantine.take_vacancy(now + TRIAL));
        let second = quarantine.admit(now + TRIAL).unwrap();
        // The end of the first trial does not end the second.
        drop(slow);
        assert!(quarantine.admit(now + TRIAL).is_none());
        drop(second);
        assert!(quarantine.admit(now + TRIAL).is_some());
    }
}
