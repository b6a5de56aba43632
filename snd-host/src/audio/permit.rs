//! Permits for the threads of takes, which bound their number and order them.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::shared::lock;
use crate::limits::MAX_TAKES;

/// How long a take whose sink or source cannot be opened waits for earlier takes of the stream.
///
/// An earlier take may have the device open for exclusive use.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_millis(500);

/// Stands for a take that precedes all takes.
const PROBE: u64 = 0;

/// Hands out at most [`MAX_TAKES`] permits at a time.
#[derive(Debug, Default)]
pub(super) struct Permits {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of permits for takes handed out so far.
    takes: u64,
    /// Stream of each permit that was not returned yet, and the number of its take from 1 on.
    active: Vec<(usize, u64)>,
}

impl Permits {
    /// Returns a permit for a take of stream number `stream`; `None` if there are too many.
    pub(super) fn acquire(self: &Arc<Self>, stream: usize) -> Option<Permit> {
        let mut state = lock(&self.state);
        (state.active.len() < MAX_TAKES).then(|| {
            state.takes += 1;
            let take = state.takes;
            let contended = state.active.iter().any(|(other, _)| *other == stream);
            state.active.push((stream, take));
            Permit { permits: self.clone(), stream, take, contended: Cell::new(contended) }
        })
    }

    /// Returns a permit that counts as one for an earlier take of the first stream.
    pub(super) fn acquire_for_probe(self: &Arc<Self>) -> Option<Permit> {
        let mut state = lock(&self.state);
        (state.active.len() < MAX_TAKES).then(|| {
            state.active.push((0, PROBE));
            Permit { permits: self.clone(), stream: 0, take: PROBE, contended: Cell::new(false) }
        })
    }

    /// Waits until all permits are returned, for at most `timeout`. Returns how many are not.
    pub(super) fn wait_for_all(&self, timeout: Duration) -> usize {
        self.wait_while(timeout, |active| !active.is_empty())
    }

    /// Waits while `condition` is true of the active permits. Returns their number.
    fn wait_while(&self, timeout: Duration, condition: impl Fn(&[(usize, u64)]) -> bool) -> usize {
        let state = lock(&self.state);
        let left = self.returned.wait_timeout_while(state, timeout, |state| condition(&state.active));
        left.unwrap_or_else(PoisonError::into_inner).0.active.len()
    }
}

/// The permit of one thread. Dropping it returns it.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Arc<Permits>,
    stream: usize,
    take: u64,
    /// Whether an earlier take of the stream was active when the permit was acquired or when the
    /// last wait ended. An attempt since then may have failed because of that take.
    contended: Cell<bool>,
}

impl Permit {
    /// Returns the number of earlier takes.
    pub(super) const fn take(&self) -> u64 {
        self.take.saturating_sub(1)
    }

    /// Waits until all earlier takes of the same stream have ended, for at most
    /// [`PREDECESSOR_TIMEOUT`].
    ///
    /// Returns true if an earlier take was active when the permit was acquired or when the last
    /// call returned, and no earlier take is active now.
    pub(super) fn wait_for_predecessors(&self) -> bool {
        if !self.contended.get() {
            return false;
        }
        let is_earlier = |(stream, take): &(usize, u64)| *stream == self.stream && *take < self.take;
        self.permits.wait_while(PREDECESSOR_TIMEOUT, |active| active.iter().any(is_earlier));
        self.contended.set(lock(&self.permits.state).active.iter().any(is_earlier));
        !self.contended.get()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.permits.state).active.retain(|(_, take)| *take != self.take);
        self.permits.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predecessor_that_ended_during_an_attempt_counts_once() {
        let permits = Arc::<Permits>::default();
        let [earlier, later] = [0, 0].map(|stream| permits.acquire(stream).unwrap());
        drop(earlier);
        assert!(later.wait_for_predecessors());
        assert!(!later.wait_for_predecessors());
    }

    #[test]
    fn a_probe_precedes_the_first_take_and_does_not_count() {
        let permits = Arc::<Permits>::default();
        let probe = permits.acquire_for_probe().unwrap();
        let take = permits.acquire(0).unwrap();
        assert_eq!(take.take(), 0);
        drop(probe);
        assert!(take.wait_for_predecessors());
    }

    #[test]
    fn a_take_of_another_stream_is_no_predecessor() {
        let permits = Arc::<Permits>::default();
        let [_other, later] = [0, 1].map(|stream| permits.acquire(stream).unwrap());
        assert!(!later.wait_for_predecessors());
    }
}
