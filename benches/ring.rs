//! How fast requests pass through a ring.
//!
//! - `throughput`: bursts of 64, on one thread; both ends, or one of them against a stub.
//! - `latency`: one request there and back, on one thread.
//! - `cross_thread`: two threads, each polling on a processor of its own.
//! - `notify`: what deciding about notifications costs.

mod measure;

use std::hint::black_box;

use contenders::contest::Contest;
use contenders::heats::HEATS;
use contenders::race::{can_race, ping_pong};
use contenders::{BURST, QUEUE_SIZE, events};
use criterion::{Criterion, criterion_group, criterion_main};
use measure::{Contender, Work, compare, timed};

/// Bursts of a slice: a few tens of microseconds.
const SLICE: u64 = 64;

fn throughput(criterion: &mut Criterion) {
    for contest in Contest::all() {
        let name = contest.to_string();
        let work =
            Work { group: "throughput", name: &name, requests: BURST.into(), slice: SLICE, calibrator: None };
        let contender = |entrant: contenders::contest::Entrant| Contender {
            name: entrant.name.to_owned(),
            make: Box::new(move || {
                let mut burst = (entrant.make)(contest.shape);
                burst.check();
                timed(move || {
                    black_box(burst.burst());
                })
            }),
        };
        compare(criterion, work, &contest.entrants().into_iter().map(contender).collect::<Vec<_>>());
    }
}

fn latency(criterion: &mut Criterion) {
    let work =
        Work { group: "latency", name: "there and back", requests: 1, slice: 1 << 12, calibrator: None };
    compare(criterion, work, &events::SINGLE.iter().copied().map(event).collect::<Vec<_>>());
}

fn notify(criterion: &mut Criterion) {
    for &(name, entrants) in events::NOTIFY {
        let work = Work { group: "notify", name, requests: 1, slice: 1 << 12, calibrator: None };
        compare(criterion, work, &entrants.iter().copied().map(event).collect::<Vec<_>>());
    }
}

fn event(entrant: events::Entrant) -> Contender {
    Contender { name: entrant.name.to_owned(), make: Box::new(move || timed((entrant.make)())) }
}

fn cross_thread(criterion: &mut Criterion) {
    if !can_race() {
        println!("cross_thread: left out, for want of a second processor");
        return;
    }
    for heat in HEATS {
        // A slice is 20 ms at 1 µs a request, and an iteration one lap of the ring.
        let work = Work {
            group: "cross_thread",
            name: heat.name,
            requests: QUEUE_SIZE.into(),
            slice: 80,
            calibrator: Some(ping_pong),
        };
        let contender = |racer: &contenders::heats::Racer| {
            let make = racer.make;
            Contender {
                name: racer.name.to_owned(),
                make: Box::new(move || {
                    let mut pair = make();
                    Box::new(move |laps| {
                        let count = usize::try_from(laps).unwrap_or(usize::MAX) * usize::from(QUEUE_SIZE);
                        pair.race(count, heat.pace)
                    })
                }),
            }
        };
        compare(criterion, work, &heat.racers.iter().map(contender).collect::<Vec<_>>());
    }
}

criterion_group!(ring, throughput, latency, cross_thread, notify);
criterion_main!(ring);
