//! Both ends on two threads, each on its own processor.
//!
//! The time that a cache line takes between two processors depends on their placement by a factor
//! of five, and the placement can change at any time. Compare a time with what another
//! implementation takes in the same milliseconds, and with [`line_latency`], which tells how far
//! apart the processors are.

use std::hint;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::arena::QUEUE_SIZE;
use crate::cache_padded::CachePadded;
use crate::case::Pace;
use crate::ends::{DeviceEnd, DriverEnd, Returned, Seen};
use crate::request::Request;

/// The number of requests after which they repeat.
const LAP: usize = QUEUE_SIZE as usize;

/// Passes `count` requests, checks that all arrive whole, in order and once, and returns the time.
///
/// Each thread keeps its totals on its own stack.
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
) -> Duration {
    assert!(requests.len() == LAP && count.is_multiple_of(LAP) && LAP.is_multiple_of(pace.batch()));
    let (time, returned, seen) =
        on_two_processors(|| drive(driver, requests, count, pace), || serve(device, count, pace));
    assert_eq!(returned, Returned::of(requests).times(count / LAP), "requests were lost or repeated");
    assert_eq!(seen, Seen::of(requests).times(count / LAP), "requests were lost or damaged");
    time
}

/// Submits `count` requests and takes them back.
fn drive(driver: &mut impl DriverEnd, requests: &[Request], count: usize, pace: Pace) -> Returned {
    let (batch, in_flight) = (pace.batch(), pace.in_flight());
    let (mut submitted, mut collected) = (0, 0);
    let (mut returned, mut backoff) = (Returned::default(), Backoff::default());
    while collected < count {
        if submitted < count && submitted + batch <= collected + in_flight {
            driver.submit(&requests[submitted % LAP..][..batch]);
            submitted += batch;
        }
        let before = collected;
        driver.collect(|cookie, written| {
            assert_eq!(usize::from(cookie), collected % LAP, "out of order");
            returned.add(cookie, written);
            collected += 1;
        });
        backoff.wait_unless(collected > before || submitted < count);
    }
    returned
}

/// Serves `count` requests.
fn serve(device: &mut impl DeviceEnd, count: usize, pace: Pace) -> Seen {
    let batch = pace.batch();
    let (mut served, mut seen, mut backoff) = (0, Seen::default(), Backoff::default());
    while served < count {
        let now = device.serve(batch, &mut seen);
        served += now;
        backoff.wait_unless(now > 0);
    }
    seen
}

/// Returns how long a cache line takes from one processor to the other.
#[must_use]
pub fn line_latency() -> Duration {
    const ROUNDS: u32 = 1000;
    let line = CachePadded(AtomicU32::new(0));
    let bounce = |first: u32| {
        let mut backoff = Backoff::default();
        for turn in (first..2 * ROUNDS).step_by(2) {
            while line.0.load(Ordering::Acquire) != turn {
                backoff.wait_unless(false);
            }
            line.0.store(turn + 1, Ordering::Release);
        }
    };
    let (time, (), ()) = on_two_processors(|| bounce(0), || bounce(1));
    time / (2 * ROUNDS)
}

/// Returns whether this process may use two processors.
#[must_use]
pub fn has_two_processors() -> bool {
    sched_getaffinity(None).is_ok_and(|set| set.count() >= 2)
}

/// Runs both closures at the same time, each on its own processor. Returns how long the first one
/// took.
fn on_two_processors<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (Duration, A, B) {
    let all = sched_getaffinity(None).unwrap_or_default();
    let mut processors = (0..CpuSet::MAX_CPU).filter(|&processor| all.is_set(processor));
    let mut pin = |thread_of: &str| {
        let processor = processors.next().unwrap_or_else(|| panic!("no processor for {thread_of}"));
        let mut set = CpuSet::new();
        set.set(processor);
        move || sched_setaffinity(None, &set).expect("the processor was just listed")
    };
    let (pin_first, pin_second) = (pin("the driver"), pin("the device"));
    let ready = Barrier::new(2);
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            pin_second();
            ready.wait();
            second()
        });
        let timed = scope.spawn(|| {
            pin_first();
            ready.wait();
            let start = Instant::now();
            let result = first();
            (start.elapsed(), result)
        });
        let (time, result) = timed.join().expect("the first thread does not panic");
        (time, result, other.join().expect("the second thread does not panic"))
    })
}

/// Waits for the other thread. Yields the processor after a while.
#[derive(Debug, Default)]
struct Backoff {
    rounds: u32,
}

impl Backoff {
    #[inline]
    fn wait_unless(&mut self, busy: bool) {
        if busy {
            self.rounds = 0;
        } else {
            self.rounds += 1;
            if self.rounds.is_multiple_of(10_000) {
                thread::yield_now();
            }
            hint::spin_loop();
        }
    }
}
