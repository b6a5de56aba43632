//! Both ends on two threads, each on its own processor.
//!
//! The time that a cache line takes between two processors depends on their placement by a factor
//! of five, and the placement of virtual processors can change at any time. So compare a time only
//! with the time that another implementation takes in the same milliseconds, and with
//! [`Processors::line_latency`].

use std::time::Duration;

use crate::arena::QUEUE_SIZE;
use crate::case::Pace;
use crate::ends::{DeviceEnd, DriverEnd};
use crate::processors::Backoff;
pub use crate::processors::Processors;
use crate::request::Request;
use crate::tally::{Returned, Seen};

/// The number of requests after which the requests repeat.
pub const LAP: usize = QUEUE_SIZE as usize;

/// Passes `count` requests, checks that all arrive complete, in order and once, and returns the
/// time.
///
/// Each thread keeps its sums on its own stack.
///
/// # Panics
///
/// If a request is lost, damaged, repeated or out of order, or `count` is not a multiple of a lap.
pub fn run(
    driver: &mut (impl DriverEnd + Send),
    device: &mut (impl DeviceEnd + Send),
    requests: &[Request],
    count: usize,
    pace: Pace,
    processors: Processors,
) -> Duration {
    assert!(requests.len() == LAP && count.is_multiple_of(LAP) && LAP.is_multiple_of(pace.batch));
    let (time, returned, seen) =
        processors.run(|| drive(driver, requests, count, pace), || serve(device, count, pace));
    assert_eq!(returned, Returned::of(requests, count / LAP), "requests were lost or out of order");
    assert_eq!(seen, Seen::of(requests).times(count / LAP), "requests were lost or damaged");
    time
}

/// Submits `count` requests and takes them back.
fn drive(driver: &mut impl DriverEnd, requests: &[Request], count: usize, pace: Pace) -> Returned {
    let Pace { batch, in_flight } = pace;
    let mut submitted = 0;
    let (mut returned, mut backoff) = (Returned::default(), Backoff::default());
    while returned.buffers < count {
        if submitted < count && submitted + batch <= returned.buffers + in_flight {
            driver.submit(&requests[submitted % LAP..][..batch]);
            submitted += batch;
        }
        let before = returned.buffers;
        returned = driver.collect(returned);
        backoff.wait_unless(returned.buffers > before || submitted < count);
    }
    returned
}

/// Serves `count` requests.
fn serve(device: &mut impl DeviceEnd, count: usize, pace: Pace) -> Seen {
    let (mut seen, mut backoff) = (Seen::default(), Backoff::default());
    while seen.chains < count {
        let before = seen.chains;
        seen = device.serve(pace.batch, seen);
        backoff.wait_unless(seen.chains > before);
    }
    seen
}
