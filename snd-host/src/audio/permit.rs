//! Permits for the threads of takes, which bound their number and order them.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::shared::lock;
use crate::limits::MAX_TAKES;

/// How long a take whose sink or source cannot be opened waits for the end of earlier takes of its
/// stream, which may have the device open for exclusive use.
const PREDECESSOR_TIMEOUT: Duration = Duration::from_millis(500);

/// Hands out at most [`MAX_TAKES`] permits at a time.
#[derive(Debug, Default)]
pub(super) struct Permits {
    state: Mutex<State>,
    returned: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Number of permits handed out so far.
    takes: u64,
    /// Stream and take of each permit that was not returned yet.
    active: Vec<(usize, u64)>,
}

impl Permits {
    /// Returns a permit for a take of stream number `stream`; `None` if there are too many.
    pub(super) fn acquire(self: &Arc<Self>, stream: usize) -> Option<Permit> {
        let mut state = lock(&self.state);
        (state.active.len() < MAX_TAKES).then(|| {
            let take = state.takes;
            state.takes += 1;
            state.active.push((stream, take));
            Permit { permits: self.clone(), stream, take }
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
}

impl Permit {
    /// Returns the number of the take, which is unique.
    pub(super) const fn take(&self) -> u64 {
        self.take
    }

    /// Waits until all earlier takes of the same stream have ended, for at most
    /// [`PREDECESSOR_TIMEOUT`].
    ///
    /// Returns whether there were any, and all have ended.
    pub(super) fn wait_for_predecessors(&self) -> bool {
        let is_earlier = |(stream, take): &(usize, u64)| *stream == self.stream && *take < self.take;
        let any = || lock(&self.permits.state).active.iter().any(is_earlier);
        if !any() {
            return false;
        }
        self.permits.wait_while(PREDECESSOR_TIMEOUT, |active| active.iter().any(is_earlier));
        !any()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        lock(&self.permits.state).active.retain(|(_, take)| *take != self.take);
        self.permits.returned.notify_all();
    }
}
