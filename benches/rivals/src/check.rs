//! Checks, before anything is timed, that a queue passes every request completely and once.

use crate::case::{Case, Decisions};
use crate::pair::{Passed, Queue};
use crate::payload;
use crate::tally::{Returned, Seen};

/// The free-running indices of a split queue wrap around after this many requests.
const WRAP: usize = 1 << 16;

/// Checks a queue that was set up for `case`.
///
/// If `suppresses_notifications` is set, an end may notify only when the other end has asked.
///
/// # Panics
///
/// If a request did not arrive complete or did not return exactly once, or if an end notified
/// without a request to notify.
pub fn check(queue: &mut dyn Queue, case: Case, suppresses_notifications: bool) {
    match case {
        Case::Bursts(..) => bursts(queue),
        Case::Payload(_) => {
            payload::fill(queue.fixture());
            queue.burst();
            payload::verify(queue.fixture());
        }
        Case::RoundTrip(decisions) => round_trips(queue, decisions, suppresses_notifications),
        // Each run checks itself.
        Case::TwoThreads(_) => {}
    }
}

/// Passes bursts until all indices have wrapped around.
fn bursts(queue: &mut dyn Queue) {
    for _ in 0..=WRAP / queue.fixture().burst {
        let expected = expected(queue);
        assert_eq!(without_notifications(queue.burst()), expected, "requests were lost or damaged");
    }
}

/// Passes single requests until all indices have wrapped around twice, and compares the number of
/// notifications.
fn round_trips(queue: &mut dyn Queue, decisions: Decisions, suppresses_notifications: bool) {
    const LAPS: u64 = 2;
    let expected = expected(queue);
    // A new queue wants the first notification.
    queue.round_trip(Decisions::Both);
    let (mut kicks, mut calls) = (0, 0);
    for _ in 0..LAPS * WRAP as u64 {
        let passed = queue.round_trip(decisions);
        kicks += passed.kicks;
        calls += passed.calls;
        assert_eq!(without_notifications(passed), expected, "{decisions}");
    }
    if decisions == Decisions::DeviceSleeps {
        assert_eq!((kicks, calls), (LAPS * WRAP as u64, 0), "one notification each time the device sleeps");
    } else if suppresses_notifications {
        // An event index that is not renewed matches once in each lap.
        assert!(kicks <= LAPS && calls <= LAPS, "{kicks} and {calls} notifications of ends that poll");
    }
}

/// Returns the expected sums of the next burst.
fn expected(queue: &dyn Queue) -> Passed {
    let requests = queue.next_burst();
    Passed { seen: Seen::of(requests), returned: Returned::of(requests, 1), kicks: 0, calls: 0 }
}

fn without_notifications(passed: Passed) -> Passed {
    Passed { kicks: 0, calls: 0, ..passed }
}
