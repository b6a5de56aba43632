//! Checks and times any implementation in any case.

use std::hint::black_box;
use std::sync::atomic::{self, AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::arena::QUEUE_SIZE;
use crate::case::{Case, Group};
use crate::check::check;
use crate::implementation::Implementation;
use crate::pair::Queue;

/// Runs a number of iterations and returns how long they took.
pub type Timed = Box<dyn FnMut(u64) -> Duration>;

/// Runs `implementation` in each case that it supports. Passes what times a case to `measure`.
pub fn run(implementation: &'static dyn Implementation, mut measure: impl FnMut(Group, Case, Timed)) {
    for group in Group::ALL {
        for &case in group.cases() {
            if let Some(set_up) = prepare(implementation, case) {
                measure(group, case, set_up());
            }
        }
    }
}

/// Returns what sets `implementation` up for `case`, checks it, and times it.
///
/// Returns `None` if the implementation does not support the case.
pub fn prepare(implementation: &'static dyn Implementation, case: Case) -> Option<Box<dyn Fn() -> Timed>> {
    let connect = implementation.connect(case)?;
    Some(Box::new(move || {
        let mut queue = connect();
        check(&mut *queue, case, implementation.suppresses_notifications());
        timed(queue, case)
    }))
}

/// Times a queue that was set up for `case`.
fn timed(mut queue: Box<dyn Queue>, case: Case) -> Timed {
    match case {
        Case::Bursts(..) | Case::Payload(_) => repeated(move || {
            black_box(queue.burst());
        }),
        Case::RoundTrip(decisions) => repeated(move || {
            black_box(queue.round_trip(decisions));
        }),
        Case::TwoThreads(pace) => Box::new(move |laps| {
            let count = usize::try_from(laps).unwrap_or(usize::MAX) * usize::from(QUEUE_SIZE);
            queue.two_threads(count, pace)
        }),
    }
}

/// Times a closure.
pub fn repeated(mut once: impl FnMut() + 'static) -> Timed {
    Box::new(move |iterations| {
        let start = Instant::now();
        (0..iterations).for_each(|_| once());
        start.elapsed()
    })
}

/// Times the part of a decision about notifications that no implementation can avoid: a full fence
/// between a store and a load.
#[must_use]
pub fn fence() -> Timed {
    let (index, event) = (AtomicU16::new(0), AtomicU16::new(0));
    repeated(move || {
        index.store(black_box(1), Ordering::Release);
        atomic::fence(Ordering::SeqCst);
        black_box(event.load(Ordering::Relaxed));
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IMPLEMENTATIONS;
    use crate::two_threads::has_two_processors;

    #[test]
    fn every_implementation_passes_every_request_whole_and_once() {
        for &implementation in IMPLEMENTATIONS {
            run(implementation, |group, case, mut timed| {
                if group != Group::CrossThread || has_two_processors() {
                    let time = timed(64);
                    println!("{} {case} {}: {time:?}", group.name(), implementation.name());
                }
            });
        }
    }

    #[test]
    fn every_case_has_an_implementation() {
        for case in Group::ALL.iter().flat_map(|group| group.cases()) {
            assert!(
                IMPLEMENTATIONS.iter().any(|implementation| implementation.connect(*case).is_some()),
                "{case}"
            );
        }
    }
}
