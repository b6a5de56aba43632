//! Times how fast requests pass through a ring.
//!
//! - `throughput`: bursts of 64 on one thread, through both ends, or through one end and a stub.
//! - `latency`: one request there and back on one thread.
//! - `cross_thread`: two threads that poll, each on its own processor.
//! - `notify`: what decisions about notifications cost.

mod compare;
mod measure;

use criterion::{Criterion, criterion_group, criterion_main};
use measure::{Benchmark, Comparison, compare};
use rivals::two_threads::has_two_processors;
use rivals::{Group, Implementation, ring_core, suite};

fn throughput(criterion: &mut Criterion) {
    // A slice takes some tens of microseconds.
    compare::implementations(criterion, Group::Throughput, 64);
}

fn latency(criterion: &mut Criterion) {
    compare::implementations(criterion, Group::Latency, 1 << 12);
}

fn cross_thread(criterion: &mut Criterion) {
    if has_two_processors() {
        // A slice takes 20 ms if a request takes 1 µs.
        compare::implementations(criterion, Group::CrossThread, 80);
    } else {
        println!("cross_thread: left out, because there is only one processor");
    }
}

/// Compares the cases of one implementation with each other.
fn notify(criterion: &mut Criterion) {
    let formats: [(&str, &dyn Implementation); 2] =
        [("split", &ring_core::SPLIT), ("packed", &ring_core::PACKED)];
    for (name, implementation) in formats {
        let comparison =
            Comparison { group: Group::Notify.name(), name, requests: 1, slice: 1 << 12, line_latency: None };
        let mut benchmarks: Vec<Benchmark> = Vec::new();
        for &case in Group::Notify.cases() {
            if let Some(set_up) = suite::prepare(implementation, case) {
                benchmarks.push(Benchmark { name: case.to_string(), set_up });
            }
        }
        benchmarks.push(Benchmark {
            name: "no queue: a store, a fence, a load".to_owned(),
            set_up: Box::new(suite::fence),
        });
        compare(criterion, comparison, &benchmarks);
    }
}

criterion_group!(ring, throughput, latency, cross_thread, notify);
criterion_main!(ring);
