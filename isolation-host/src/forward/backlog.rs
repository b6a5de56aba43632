//! The requests that no device has, and which of them is submitted next.

use std::collections::VecDeque;
use std::time::Instant;

use super::in_flight::{InFlight, RequestId};
use super::quarantine::{Admission, Quarantine};
use super::suspicion::{Candidates, Suspicion};

/// The requests of one queue that no device has, from the oldest to the newest.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    ids: VecDeque<RequestId>,
    quarantine: Quarantine,
    /// The admission of a suspect for which the device had no room yet.
    unused: Option<Admission>,
}

impl Backlog {
    /// Replaces all requests.
    pub(super) fn set(&mut self, ids: VecDeque<RequestId>) {
        (self.ids, self.unused) = (ids, None);
    }

    /// Shares the quarantine of the device's other queues.
    pub(super) fn share_quarantine(&mut self, quarantine: Quarantine) {
        self.quarantine = quarantine;
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &RequestId> {
        self.ids.iter()
    }

    /// Adds the newest request.
    pub(super) fn push(&mut self, id: RequestId) {
        self.ids.push_back(id);
    }

    /// Removes the newest request.
    pub(super) fn pop_newest(&mut self) -> Option<RequestId> {
        self.ids.pop_back()
    }

    /// Removes all requests.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = RequestId> {
        self.ids.drain(..)
    }

    /// Returns the number of waiting requests that are not suspects.
    pub(super) fn without_suspects(&self, in_flight: &InFlight) -> usize {
        if in_flight.suspects() == 0 {
            return self.ids.len();
        }
        self.ids.iter().filter(|id| !in_flight.get(id).suspicion.is_suspect()).count()
    }

    /// Takes out the request to submit next, with its position: a suspect if one is admitted, or
    /// else the oldest request that is not a suspect.
    pub(super) fn next(&mut self, in_flight: &mut InFlight, now: Instant) -> Option<(RequestId, usize)> {
        if in_flight.suspects() == 0 {
            return Some((self.ids.pop_front()?, 0));
        }
        let suspicion = |id: &RequestId| -> Suspicion { in_flight.get(id).suspicion };
        let Candidates { suspect, other } = Candidates::among(self.ids.iter().map(suspicion));
        let Some(at) = suspect else { return self.remove(other?) };
        match self.unused.take().or_else(|| self.quarantine.admit(now)) {
            Some(admission) => {
                let (id, at) = self.remove(at)?;
                in_flight.get_mut(&id).trial = Some(admission);
                Some((id, at))
            }
            None => self.remove(other?),
        }
    }

    fn remove(&mut self, at: usize) -> Option<(RequestId, usize)> {
        Some((self.ids.remove(at)?, at))
    }

    /// Puts back a request for which the device has no room. The request will be the next one
    /// again.
    pub(super) fn put_back(&mut self, id: RequestId, at: usize, in_flight: &mut InFlight) {
        self.unused = in_flight.get_mut(&id).trial.take();
        self.ids.insert(at.min(self.ids.len()), id);
    }
}
