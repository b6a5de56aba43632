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
    Buffers, Case, Mutation, a_device_dies_after_it_has_published, a_device_dies_before_it_publishes,
    a_device_that_sleeps_is_notified, a_driver_that_sleeps_is_notified,
    a_late_completion_returns_its_buffer_once, batches_arrive_whole,
};
use ring_core::Features;

const SPLIT: Features = Features::empty();
const PACKED: Features = Features::RING_PACKED;
const EVENT_IDX: Features = Features::EVENT_IDX;
const IN_ORDER: Features = Features::IN_ORDER;
/// Both formats with each way to suppress notifications.
const SUPPRESSION: [Features; 4] = [SPLIT, SPLIT.union(EVENT_IDX), PACKED, PACKED.union(EVENT_IDX)];

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

fn holds(name: &str, model: Model, size: u16, features: Features, buffers: Buffers) {
    let executions = explore(model, Case { size, features, buffers, mutation: None });
    println!("{name}, size {size}, {features:?}, {buffers:?}: {executions} executions");
}

#[test]
fn split_batches_arrive_whole() {
    for (size, features, buffers) in [
        (2, SPLIT, Buffers::Short),
        (2, SPLIT, Buffers::Long),
        (4, SPLIT, Buffers::Long),
        (2, SPLIT | IN_ORDER, Buffers::Short),
        (4, SPLIT | IN_ORDER, Buffers::Long),
    ] {
        holds("batches arrive whole", batches_arrive_whole, size, features, buffers);
    }
}

#[test]
fn packed_batches_arrive_whole() {
    for (size, features, buffers) in [
        (2, PACKED, Buffers::Short),
        (3, PACKED, Buffers::Short),
        (2, PACKED, Buffers::Long),
        (3, PACKED, Buffers::Long),
        (4, PACKED, Buffers::Long),
        (3, PACKED | IN_ORDER, Buffers::Short),
        (4, PACKED | IN_ORDER, Buffers::Long),
    ] {
        holds("batches arrive whole", batches_arrive_whole, size, features, buffers);
    }
}

#[test]
fn a_sleeping_device_is_notified() {
    let (name, model) = ("a device that sleeps is notified", a_device_that_sleeps_is_notified as Model);
    for features in SUPPRESSION {
        Buffers::ALL.into_iter().for_each(|buffers| holds(name, model, 2, features, buffers));
    }
    holds(name, model, 3, PACKED | EVENT_IDX, Buffers::Long);
}

#[test]
fn a_sleeping_driver_is_notified() {
    let (name, model) = ("a driver that sleeps is notified", a_driver_that_sleeps_is_notified as Model);
    for features in SUPPRESSION {
        Buffers::ALL.into_iter().for_each(|buffers| holds(name, model, 2, features, buffers));
    }
    holds(name, model, 3, PACKED | EVENT_IDX, Buffers::Long);
}

#[test]
fn a_completion_after_a_reset_is_refused() {
    for features in [SPLIT, PACKED] {
        let name = "a late completion returns its buffer once";
        holds(name, a_late_completion_returns_its_buffer_once, 2, features, Buffers::Long);
    }
}

#[test]
fn a_dead_devices_buffers_come_back_once() {
    let deaths = [
        ("a device dies before it publishes", a_device_dies_before_it_publishes as Model),
        ("a device dies after it has published", a_device_dies_after_it_has_published),
    ];
    for (name, model) in deaths {
        for features in [SPLIT, PACKED, SPLIT | IN_ORDER, PACKED | IN_ORDER] {
            holds(name, model, 2, features, Buffers::Short);
        }
        holds(name, model, 3, PACKED, Buffers::Short);
        holds(name, model, 4, PACKED, Buffers::Long);
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
    for (features, buffers) in SUPPRESSION.into_iter().flat_map(|f| Buffers::ALL.map(|b| (f, b))) {
        for mutation in Weakened::ALL.into_iter().flat_map(|w| [Mutation::Driver(w), Mutation::Device(w)]) {
            let case = Case { size: 2, features, buffers, mutation: Some(mutation) };
            let caught = fails(guard(mutation), case);
            println!("{features:?}, {buffers:?}, {mutation:?}: {}", if caught { "caught" } else { "MISSED" });
            if !caught {
                missed.push((features, buffers, mutation));
            }
        }
    }
    assert!(missed.is_empty(), "no model failed for {missed:?}");
}
