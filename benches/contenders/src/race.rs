//! Both ends on two threads, each on a processor of its own.
//!
//! What passes between two processors depends on where the host puts them, by a factor of five, and can change
//! at any time. So nothing here is worth anything alone: compare it with what another contender does in the
//! same milliseconds, and with [`ping_pong`], which says how far apart the processors are.

use std::hint;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{DeviceEnd, DriverEnd, Pair, QUEUE_SIZE, Tally};

/// How requests pass in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How many are made available, or returned, at a time.
    pub batch: usize,
    /// How many are on their way at most.
    pub outstanding: usize,
}

/// Something that can be raced.
pub trait Race {
    /// Passes `count` requests at this pace, and checks that all arrive whole, in order and once.
    ///
    /// # Panics
    ///
    /// If they do not.
    fn race(&mut self, count: usize, pace: Pace) -> Duration;
}

/// Requests of a lap, after which they come again.
const LAP: usize = QUEUE_SIZE as usize;

impl<D: DriverEnd + Send, V: DeviceEnd + Send> Race for Pair<D, V> {
    fn race(&mut self, count: usize, pace: Pace) -> Duration {
        let Self { driver, device, requests } = self;
        assert!(pace.outstanding < LAP && requests.len() == LAP && count.is_multiple_of(LAP));
        let mut passed = Tally::default();
        let mut seen = Tally::default();
        let drive = || {
            let (mut added, mut reaped, mut idle) = (0, 0, Idle::default());
            while reaped < count {
                let batch = pace.batch.min(count - added);
                if batch > 0 && added + batch <= reaped + pace.outstanding {
                    for place in added..added + batch {
                        driver.add(&requests[place % LAP]);
                    }
                    driver.publish();
                    added += batch;
                }
                let before = reaped;
                while let Some((cookie, written)) = driver.reap() {
                    assert_eq!(usize::from(cookie), reaped % LAP, "out of order");
                    passed.reap(cookie, written);
                    reaped += 1;
                }
                idle.unless(reaped > before || added < count);
            }
        };
        let serve = || {
            let (mut served, mut idle) = (0, Idle::default());
            while served < count {
                let now = device.serve(pace.batch, &mut seen);
                served += now;
                idle.unless(now > 0);
            }
        };
        let time = on_two_processors(drive, serve);
        passed.see(seen);
        assert_eq!(passed, Tally::of(requests).times(count / LAP), "requests were lost or damaged");
        time
    }
}

/// How long a cache line takes from one processor to the other.
#[must_use]
pub fn ping_pong() -> Duration {
    const ROUNDS: u32 = 1000;
    let ball = AtomicU32::new(0);
    let play = |mine: u32| {
        let mut idle = Idle::default();
        for hit in (mine..2 * ROUNDS).step_by(2) {
            while ball.load(Ordering::Acquire) != hit {
                idle.unless(false);
            }
            ball.store(hit + 1, Ordering::Release);
        }
    };
    on_two_processors(|| play(0), || play(1)) / (2 * ROUNDS)
}

/// Whether there are two processors.
#[must_use]
pub fn can_race() -> bool {
    sched_getaffinity(None).is_ok_and(|set| set.count() >= 2)
}

/// Runs both at the same time, each on a processor of its own, until the first one returns.
fn on_two_processors(first: impl FnOnce() + Send, second: impl FnOnce() + Send) -> Duration {
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
        scope.spawn(|| {
            pin_second();
            ready.wait();
            second();
        });
        let timed = scope.spawn(|| {
            pin_first();
            ready.wait();
            let start = Instant::now();
            first();
            start.elapsed()
        });
        timed.join().expect("the race is fair")
    })
}

/// Waits for the other thread; after a while it lets others have the processor.
#[derive(Debug, Default)]
struct Idle {
    rounds: u32,
}

impl Idle {
    #[inline]
    fn unless(&mut self, busy: bool) {
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
