//! The processors of two threads, and the distance between two processors.

use std::fmt;
use std::hint;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cache_padded::CachePadded;

/// Two processors, one for each end of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors {
    /// The driver's processor.
    pub driver: usize,
    /// The device's processor.
    pub device: usize,
}

/// The largest number of processors whose pairs are measured.
const MOST: usize = 16;

impl Processors {
    /// Returns the two first processors that this process may use, or `None` if there is only one.
    #[must_use]
    pub fn first() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// Returns the pairs to measure: the two nearest processors, and the two processors that are
    /// farthest apart, if the pairs differ.
    ///
    /// A virtual machine's processors can move between the host's processors. So
    /// [`line_latency`](Self::line_latency) has to be measured again with each use.
    #[must_use]
    pub fn near_and_far() -> Vec<Self> {
        let mut pairs: Vec<(Duration, Self)> =
            Self::all().into_iter().map(|pair| (pair.line_latency(), pair)).collect();
        pairs.sort_by_key(|(latency, _)| *latency);
        let mut chosen: Vec<Self> = pairs.first().into_iter().chain(pairs.last()).map(|it| it.1).collect();
        chosen.dedup();
        chosen
    }

    /// Returns all pairs of the first [`MOST`] processors.
    fn all() -> Vec<Self> {
        let all = sched_getaffinity(None).unwrap_or_default();
        let usable = (0..CpuSet::MAX_CPU).filter(|&processor| all.is_set(processor));
        let usable: Vec<usize> = usable.take(MOST).collect();
        let pairs = usable.iter().enumerate().flat_map(|(position, &driver)| {
            usable[position + 1..].iter().map(move |&device| Self { driver, device })
        });
        pairs.collect()
    }

    /// Returns how long a cache line takes from one processor to the other.
    #[must_use]
    pub fn line_latency(self) -> Duration {
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
        let (time, (), ()) = self.run(|| bounce(0), || bounce(1));
        time / (2 * ROUNDS)
    }

    /// Runs both closures at the same time, each on its own processor. Returns how long the first
    /// one took.
    pub(crate) fn run<A: Send, B: Send>(
        self,
        first: impl FnOnce() -> A + Send,
        second: impl FnOnce() -> B + Send,
    ) -> (Duration, A, B) {
        let ready = Barrier::new(2);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                pin(self.device);
                ready.wait();
                second()
            });
            let timed = scope.spawn(|| {
                pin(self.driver);
                ready.wait();
                let start = Instant::now();
                let result = first();
                (start.elapsed(), result)
            });
            let (time, result) = timed.join().expect("the first thread does not panic");
            (time, result, other.join().expect("the second thread does not panic"))
        })
    }
}

impl fmt::Display for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.driver, self.device)
    }
}

/// Moves this thread to a processor.
fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    sched_setaffinity(None, &set).expect("the processor was listed");
}

/// Waits for the other thread. Yields the processor after a while.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    rounds: u32,
}

impl Backoff {
    #[inline]
    pub(crate) fn wait_unless(&mut self, busy: bool) {
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
