//! Which request is at fault when a device is lost.
//!
//! If the device had several requests, the loss may be the fault of any of them, and only makes the
//! requests suspects. Suspects are then tried: the next device gets one suspect at a time, beside
//! requests that are not suspects. A loss during a trial counts against the request on trial, and
//! against no other request.
//!
//! ```text
//!              lost with others                 lost on trial,
//!                or alone                       or alone            3 own losses
//!  no suspect ──────────────────▶ suspect ──────────────────▶ … ──────────────────▶ fails
//!                                    │  completed
//!                                    └──────────────▶ returned to the guest
//! ```
//!
//! The suspect against which the fewest losses count is tried first. So a series of losses without
//! any progress, such as that of a device that cannot start, is spread over all suspects.

use crate::limits::MAX_LOSSES;

/// How many losses of devices count against a request.
///
/// The number is 0 for a request that no lost device has had, and otherwise one more than the
/// number of losses that count against the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Suspicion(u8);

/// The requests that a device had when it was lost, on all queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The number of requests.
    pub(super) all: usize,
    /// How many of them were on trial.
    pub(super) on_trial: usize,
}

/// The requests that may be submitted next, by their position among those that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    /// The suspect to try next.
    pub(super) suspect: Option<usize>,
    /// The oldest request that is not a suspect.
    pub(super) other: Option<usize>,
}

impl Suspicion {
    /// Restores the number that a journal has recorded. No recorded number makes a request fail by
    /// itself.
    pub(super) fn recorded(number: u8) -> Self {
        Self(number.min(MAX_LOSSES))
    }

    /// Returns the number to record in a journal.
    pub(super) const fn number(self) -> u8 {
        self.0
    }

    pub(super) const fn is_suspect(self) -> bool {
        self.0 > 0
    }

    /// Returns whether the request fails.
    pub(super) const fn is_proven(self) -> bool {
        self.0 > MAX_LOSSES
    }

    /// Returns the suspicion of a request after the loss of the device that had the request.
    pub(super) const fn after_loss(self, held: Held, on_trial: bool) -> Self {
        let known = if self.is_suspect() { self.0 } else { 1 };
        Self(if held.blames(on_trial) { known.saturating_add(1) } else { known })
    }
}

impl Held {
    /// Returns the sum of the counts of two queues of a device.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { all: self.all + other.all, on_trial: self.on_trial + other.on_trial }
    }

    /// Returns whether the loss counts against a request, because no other request can be at fault.
    /// `on_trial` says whether the request was on trial.
    const fn blames(self, on_trial: bool) -> bool {
        match self.on_trial {
            0 => self.all == 1,
            1 => on_trial,
            // Long trials overlap. A loss during overlapping trials does not show which request is
            // at fault.
            _ => false,
        }
    }
}

impl Candidates {
    /// Returns the candidates among the waiting requests, which come in order from the oldest to
    /// the newest.
    pub(super) fn among(waiting: impl Iterator<Item = Suspicion>) -> Self {
        let (mut suspect, mut other) = (None, None);
        for (at, suspicion) in waiting.enumerate() {
            if !suspicion.is_suspect() {
                other = other.or(Some(at));
            } else if suspect.is_none_or(|(least, _)| suspicion < least) {
                suspect = Some((suspicion, at));
            }
        }
        Self { suspect: suspect.map(|(_, at)| at), other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A request of the model.
    #[derive(Clone, Copy, Debug, Default)]
    struct Request {
        suspicion: Suspicion,
        deadly: bool,
        with_device: bool,
        on_trial: bool,
        /// Whether the request is still in flight, was completed, or failed.
        state: State,
    }

    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    enum State {
        #[default]
        InFlight,
        Completed,
        Failed,
    }

    /// The requests of a device, from the oldest to the newest.
    #[derive(Debug, Default)]
    struct Model {
        requests: Vec<Request>,
        losses: usize,
    }

    impl Model {
        fn make(&mut self, deadly: bool) {
            self.requests.push(Request { deadly, ..Request::default() });
        }

        /// Submits all requests that may be submitted.
        fn submit(&mut self) {
            loop {
                let waits = |request: &&mut Request| request.state == State::InFlight && !request.with_device;
                let vacant = !self.requests.iter().any(|request| request.on_trial);
                let mut waiting: Vec<&mut Request> = self.requests.iter_mut().filter(waits).collect();
                let found = Candidates::among(waiting.iter().map(|request| request.suspicion));
                let suspect = found.suspect.filter(|_| vacant);
                let Some(at) = suspect.or(found.other) else { return };
                (waiting[at].with_device, waiting[at].on_trial) = (true, suspect.is_some());
            }
        }

        /// Has the device serve one of its requests, which the device may not survive.
        fn serve(&mut self, index: usize) {
            let with_device = self.requests.iter_mut().filter(|request| request.with_device);
            let mut with_device: Vec<&mut Request> = with_device.collect();
            let count = with_device.len();
            if count == 0 {
                return;
            }
            let request = &mut with_device[index % count];
            if request.deadly {
                return self.lose_device();
            }
            **request = Request { state: State::Completed, ..Request::default() };
        }

        fn lose_device(&mut self) {
            self.losses += 1;
            let held = || self.requests.iter().filter(|request| request.with_device);
            let held = Held { all: held().count(), on_trial: held().filter(|held| held.on_trial).count() };
            for request in self.requests.iter_mut().filter(|request| request.with_device) {
                request.suspicion = request.suspicion.after_loss(held, request.on_trial);
                (request.with_device, request.on_trial) = (false, false);
                if request.suspicion.is_proven() {
                    request.state = State::Failed;
                }
            }
        }

        fn count(&self, state: State) -> usize {
            self.requests.iter().filter(|request| request.state == state).count()
        }

        /// Serves until no request is in flight. Returns the number of steps.
        fn settle(&mut self) -> usize {
            let served = (0..).find(|index| {
                self.submit();
                self.serve(*index);
                self.count(State::InFlight) == 0
            });
            served.unwrap() + 1
        }
    }

    #[test]
    fn a_request_that_is_always_alone_fails_with_the_third_loss() {
        let mut model = Model::default();
        model.make(true);
        model.settle();
        assert_eq!((model.losses, model.count(State::Failed)), (usize::from(MAX_LOSSES), 1));
    }

    #[test]
    fn overlapping_trials_prove_nothing() {
        let held = Held { all: 2, on_trial: 2 };
        let suspect = Suspicion::default().after_loss(held, false);
        assert!(suspect.is_suspect());
        assert_eq!((0..100).fold(suspect, |suspect, _| suspect.after_loss(held, true)), suspect);
    }

    #[test]
    fn no_recorded_number_makes_a_request_fail() {
        assert!((0..=u8::MAX).all(|number| !Suspicion::recorded(number).is_proven()));
        assert!((0..=MAX_LOSSES).all(|number| Suspicion::recorded(number).number() == number));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The deadly request fails after three losses that count against it. One loss before these
        /// may have involved other requests as well. Good requests that are made before or
        /// meanwhile complete, and each lost device costs no more than the trials of the requests
        /// that were in flight.
        #[test]
        fn a_deadly_request_fails_after_three_losses_of_its_own(
            before in 0usize..40,
            behind in 0usize..40,
            later in prop::collection::vec((0usize..4, any::<usize>()), 0..40),
        ) {
            let mut model = Model::default();
            (0..before).for_each(|_| model.make(false));
            model.make(true);
            (0..behind).for_each(|_| model.make(false));
            let mut served = 0;
            for (good, index) in later {
                (0..good).for_each(|_| model.make(false));
                model.submit();
                model.serve(index);
                served += 1;
            }
            served += model.settle();
            let all = model.requests.len();
            prop_assert_eq!((model.count(State::Failed), model.count(State::Completed)), (1, all - 1));
            prop_assert!(model.requests[before].state == State::Failed);
            let own = usize::from(MAX_LOSSES);
            prop_assert!((own..=own + 1).contains(&model.losses));
            prop_assert!(served <= all + own + 1);
        }

        /// Devices are lost without completing any request, for example because no device can
        /// start.
        #[test]
        fn a_series_of_losses_without_progress_is_spread_over_all_suspects(count in 2usize..40) {
            let mut model = Model::default();
            (0..count).for_each(|_| model.make(false));
            for _ in 0..=(usize::from(MAX_LOSSES) - 1) * count {
                model.submit();
                model.lose_device();
            }
            prop_assert_eq!(model.count(State::Failed), 0);
            model.settle();
            prop_assert_eq!(model.count(State::Completed), count);
        }

        /// Each device serves about a thousand requests before it is killed.
        #[test]
        fn bystanders_of_random_crashes_do_not_fail(
            depth in 1usize..16,
            lives in prop::collection::vec((500usize..1500, any::<usize>()), 20),
        ) {
            let mut model = Model::default();
            for (served, seed) in lives {
                for index in 0..served {
                    model.requests.retain(|request| request.state == State::InFlight);
                    (model.requests.len()..depth).for_each(|_| model.make(false));
                    model.submit();
                    model.serve(index.wrapping_mul(seed));
                }
                model.lose_device();
                prop_assert_eq!(model.count(State::Failed), 0);
            }
        }
    }
}
