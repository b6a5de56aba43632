//! Permits for the threads of takes, which order them.

use std::cell::Cell;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::wakeup::lock;

/// How long a take whose sink or source cannot be opened waits for earlier takes of the stream.
///
/// An earlier take may have the device open for exclusive use.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_millis(500);

/// Stands for a take that precedes all takes.
const PROBE: u64 = 0;

/// Hands out permits. The card bounds the number of takes.
#[derive(Debug, Default)]
pub(crate) struct Permits {
    /// Stream and number of the take of each permit that was not returned yet.
    active: Mutex<Vec<(u32, u64)>>,
    returned: Condvar,
}

impl Permits {
    /// Returns a permit for take number `take`, from 1 on, of stream number `stream`.
    pub(crate) fn acquire(self: &Arc<Self>, stream: u32, take: u64) -> Permit {
        let mut active = lock(&self.active);
        let contended = active.iter().any(|(other, _)| *other == stream);
        active.push((stream, take));
        Permit { permits: self.clone(), stream, take, contended: Cell::new(contended) }
    }

    /// Returns a permit that counts as one for an earlier take of the first stream.
    pub(crate) fn acquire_for_probe(self: &Arc<Self>) -> Permit {
        self.acquire(0, PROBE)
    }

    /// Waits while `condition` is true of the active permits, for at most `timeout`.
    fn wait_while(&self, timeout: Duration, condition: impl Fn(&[(u32, u64)]) -> bool) {
        let active = lock(&self.active);
        let waited = self.returned.wait_timeout_while(active, timeout, |active| condition(active));
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The permit of one thread. Dropping it returns it.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    stream: u32,
    take: u64,
    /// Whether an earlier take of the stream was active when the permit was acquired or when the
    /// last wait ended. An attempt since then may have failed because of that take.
    contended: Cell<bool>,
}

impl Permit {
    /// Waits until all earlier takes of the same stream have ended, for at most
    /// [`PREDECESSOR_TIMEOUT`].
    ///
    /// Returns true if an earlier take was active when the permit was acquired or when the last
    /// call returned, and no earlier take is active now.
    pub(crate) fn wait_for_predecessors(&self) -> bool {
        if !self.contended.get() {
            return false;
        }
        let is_earlier = |(stream, take): &(u32, u64)| *stream == self.stream && *take < self.take;
        self.permits.wait_while(PREDECESSOR_TIMEOUT, |active| active.iter().any(is_earlier));
        self.contended.set(lock(&self.permits.active).iter().any(is_earlier));
        !self.contended.get()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.permits.active).retain(|(_, take)| *take != self.take);
        self.permits.returned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_predecessor_that_ended_during_an_attempt_counts_once() {
        let permits = Arc::<Permits>::default();
        let [earlier, later] = [1, 2].map(|take| permits.acquire(0, take));
        drop(earlier);
        assert!(later.wait_for_predecessors());
        assert!(!later.wait_for_predecessors());
    }

    #[test]
    fn a_probe_precedes_the_first_take() {
        let permits = Arc::<Permits>::default();
        let probe = permits.acquire_for_probe();
        let take = permits.acquire(0, 1);
        drop(probe);
        assert!(take.wait_for_predecessors());
    }

    #[test]
    fn a_take_of_another_stream_is_no_predecessor() {
        let permits = Arc::<Permits>::default();
        let [_other, later] = [0, 1].map(|stream| permits.acquire(stream, 1 + u64::from(stream)));
        assert!(!later.wait_for_predecessors());
    }
}
