//! Times how fast requests pass through a ring.
//!
//! - `throughput`: bursts of 64 on one thread, through both ends, or through one end and a stub.
//! - `latency`: one request there and back on one thread.
//! - `cross_thread`: two threads that poll, each on its own processor.
//! - `notify`: the cost of decisions about notifications.
//! - `payload`: 4 KiB copied from the readable to the writable part, each in one, four and sixteen
//!   segments.
//! - `indirect`: the device end, with chains of sixteen segments in indirect tables.
//! - `burst_length`, `queue_size`, `chain_length`, `in_flight`: the time as a function of each of
//!   these numbers.

mod compare;
mod distribution;
mod measure;
mod programs;

use std::hint::black_box;
use std::sync::atomic::{self, AtomicU16, Ordering};

use criterion::{Criterion, criterion_group, criterion_main};
use measure::{Benchmark, Comparison, MEASUREMENT, Timed, compare, repeated};
use rivals::Group;
use rivals::contenders::{Contender, PACKED, SPLIT};

fn throughput(criterion: &mut Criterion) {
    // A slice takes some hundreds of microseconds.
    compare::implementations(criterion, Group::Throughput, 256);
}

fn latency(criterion: &mut Criterion) {
    compare::implementations(criterion, Group::Latency, 1 << 13);
    distribution::of_single_requests(criterion);
}

fn cross_thread(criterion: &mut Criterion) {
    // A slice takes 20 ms if a request takes 1 µs.
    compare::implementations(criterion, Group::CrossThread, 80);
}

fn chains(criterion: &mut Criterion) {
    compare::implementations(criterion, Group::Payload, 64);
    compare::implementations(criterion, Group::Indirect, 64);
}

fn by_length(criterion: &mut Criterion) {
    compare::implementations(criterion, Group::BurstLength, 1 << 10);
    compare::implementations(criterion, Group::QueueSize, 1 << 10);
    compare::implementations(criterion, Group::ChainLength, 1 << 10);
    compare::implementations(criterion, Group::InFlight, 40);
}

/// Compares the cases of one implementation with each other.
fn notify(criterion: &mut Criterion) {
    let formats: [(&str, Contender); 2] = [("split", SPLIT), ("packed", PACKED)];
    for (name, Contender { program, .. }) in formats {
        let comparison = Comparison {
            group: Group::Notify.name(),
            name,
            requests: 1,
            slice: 1 << 13,
            processors: None,
            measurement: MEASUREMENT,
        };
        let benchmark = |label: String| {
            let case = format!("{}/{label}", Group::Notify.name());
            assert!(compare::supports(program, &case), "{program} has no case {case}");
            Benchmark { name: label, set_up: Box::new(move || compare::timed(program, &case, None)) }
        };
        let labels = Group::Notify.cases().iter().map(|&case| Group::Notify.label(case));
        let mut benchmarks: Vec<Benchmark> = labels.map(benchmark).collect();
        benchmarks.push(Benchmark {
            name: "no queue: a store, a fence, a load".to_owned(),
            set_up: Box::new(fence),
        });
        compare(criterion, comparison, &benchmarks);
    }
}

/// Times the part of a decision about notifications that no implementation can avoid: a full fence
/// between a store and a load.
fn fence() -> Timed {
    let (index, event) = (AtomicU16::new(0), AtomicU16::new(0));
    repeated(move || {
        index.store(black_box(1), Ordering::Release);
        atomic::fence(Ordering::SeqCst);
        black_box(event.load(Ordering::Relaxed));
    })
}

criterion_group!(ring, throughput, latency, cross_thread, notify, chains, by_length);
criterion_main!(ring);
