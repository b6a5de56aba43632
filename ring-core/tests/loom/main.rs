//! Model checks of every ordering in the rings, on the code that ships.
//!
//! Run them optimised: `cargo test --release -p ring-core --test loom`.

mod memory;
mod models;

use std::cell::Cell;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use memory::Weakened;
use models::{
    Case, Mutation, a_device_that_sleeps_is_notified, a_driver_that_sleeps_is_notified,
    a_late_completion_returns_its_buffer_once, batches_arrive_whole,
};
use ring_core::Features;

const SPLIT: Features = Features::empty();
const PACKED: Features = Features::RING_PACKED;
const EVENT_IDX: Features = Features::EVENT_IDX;

type Model = fn(Case);

/// Runs a model in every interleaving, and says how many there were.
fn explore(model: Model, case: Case) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    loom::model(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model(case);
    });
    executions.load(Ordering::Relaxed)
}

fn holds(name: &str, model: Model, size: u16, features: Features) {
    let executions = explore(model, Case { size, features, mutation: None });
    println!("{name}, size {size}, {features:?}: {executions} executions");
}

#[test]
fn split_batches_arrive_whole() {
    holds("batches arrive whole", batches_arrive_whole, 2, SPLIT);
    holds("batches arrive whole", batches_arrive_whole, 4, SPLIT);
}

#[test]
fn packed_batches_arrive_whole() {
    for size in 2..=4 {
        holds("batches arrive whole", batches_arrive_whole, size, PACKED);
    }
}

#[test]
fn a_sleeping_device_is_notified() {
    for features in [SPLIT, SPLIT | EVENT_IDX, PACKED, PACKED | EVENT_IDX] {
        holds("a device that sleeps is notified", a_device_that_sleeps_is_notified, 2, features);
    }
    holds("a device that sleeps is notified", a_device_that_sleeps_is_notified, 3, PACKED | EVENT_IDX);
}

#[test]
fn a_sleeping_driver_is_notified() {
    for features in [SPLIT, SPLIT | EVENT_IDX, PACKED, PACKED | EVENT_IDX] {
        holds("a driver that sleeps is notified", a_driver_that_sleeps_is_notified, 2, features);
    }
    holds("a driver that sleeps is notified", a_driver_that_sleeps_is_notified, 3, PACKED | EVENT_IDX);
}

#[test]
fn a_completion_after_a_reset_is_refused() {
    for features in [SPLIT, PACKED] {
        let name = "a late completion returns its buffer once";
        holds(name, a_late_completion_returns_its_buffer_once, 2, features);
    }
}

/// Which model has to fail when an end forgets an ordering.
const fn guard(mutation: Mutation) -> Model {
    match mutation {
        Mutation::Driver(Weakened::Acquire | Weakened::Release)
        | Mutation::Device(Weakened::Acquire | Weakened::Release) => batches_arrive_whole,
        Mutation::Driver(Weakened::FenceInPublish) | Mutation::Device(Weakened::FenceInArm) => {
            a_device_that_sleeps_is_notified
        }
        Mutation::Driver(Weakened::FenceInArm) | Mutation::Device(Weakened::FenceInPublish) => {
            a_driver_that_sleeps_is_notified
        }
    }
}

thread_local! {
    /// Whether a model that runs on this thread is meant to fail. loom stays on the thread it was called on.
    static MEANT_TO_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// Whether a model fails. What it says then does not matter.
fn fails(model: Model, case: Case) -> bool {
    MEANT_TO_FAIL.set(true);
    let failed = panic::catch_unwind(|| explore(model, case)).is_err();
    MEANT_TO_FAIL.set(false);
    failed
}

#[test]
fn every_forgotten_ordering_is_caught() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |failure| {
        if !MEANT_TO_FAIL.get() {
            report(failure);
        }
    }));
    let mut missed = Vec::new();
    for features in [SPLIT, SPLIT | EVENT_IDX, PACKED, PACKED | EVENT_IDX] {
        for mutation in Weakened::ALL.into_iter().flat_map(|w| [Mutation::Driver(w), Mutation::Device(w)]) {
            let case = Case { size: 2, features, mutation: Some(mutation) };
            let caught = fails(guard(mutation), case);
            println!("{features:?}, {mutation:?}: {}", if caught { "caught" } else { "MISSED" });
            if !caught {
                missed.push((features, mutation));
            }
        }
    }
    assert!(missed.is_empty(), "no model failed for {missed:?}");
}
