//! Models of every ordering in the rings, checked by loom on the code that ships.
//!
//! `cargo xtask loom` runs the models optimised and prints the number of executions.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

mod case;
mod memory;
mod models;

use std::any::Any;
use std::cell::Cell;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use case::{Buffers, Case, DEADLOCK, DEVICE_SLEEPS, DRIVER_SLEEPS, Mutation, WRONG_LENGTH};
use memory::Weakened;
use models::{
    a_chain_is_given_back, a_device_arms_for_several_buffers, a_device_asks_once_for_every_buffer,
    a_device_crashes_after_the_publish, a_device_crashes_before_the_publish, a_device_disarms,
    a_device_pauses, a_device_pauses_with_completions, a_driver_arms_for_several_buffers,
    a_driver_asks_once_for_every_buffer, a_driver_disarms, a_driver_pauses, a_driver_peeks,
    a_late_completion_returns_its_buffer_once, a_sleeping_device_is_notified as sleeping_device,
    a_sleeping_driver_is_notified as sleeping_driver, batches_arrive_whole, both_sides_begin_elsewhere,
    both_sides_sleep, bursts_arrive_whole, silently_available_buffers_are_announced,
    silently_used_buffers_are_announced,
};
use ring_core::Features;
use support::{EVENT_IDX, IN_ORDER, ORDERS, PACKED, SPLIT, SUPPRESSION};

type Model = fn(Case);

/// Runs a model in every interleaving. Returns the number of interleavings.
fn explore(model: Model, case: Case) -> usize {
    let executions = Arc::new(AtomicUsize::new(0));
    let counter = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = case.preemptions;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        model(case);
    });
    executions.load(Ordering::Relaxed)
}

fn holds(name: &str, model: Model, case: Case) {
    let executions = explore(model, case);
    let Case { size, features, buffers, words, .. } = case;
    println!("{name}, size {size}, {features:?}, {buffers:?}, {words:?}: {executions} executions");
}

/// Returns cases with each way to suppress notifications, in any order and in order, for buffers of
/// one and of two descriptors, in a queue that holds `buffers` of them.
fn all_features(buffers: u16) -> impl Iterator<Item = Case> {
    let features = SUPPRESSION.into_iter().flat_map(|features| [features, features | IN_ORDER]);
    let cases = features.flat_map(|features| Buffers::ALL.map(|kind| (features, kind)));
    cases.map(move |(features, kind)| Case::new(buffers * kind.descriptors(), features, kind))
}

fn holds_with_all_features(name: &str, model: Model, buffers: u16) {
    all_features(buffers).for_each(|case| holds(name, model, case));
}

/// The limit keeps each case below 2,000 interleavings.
fn holds_with_few_preemptions(name: &str, model: Model) {
    all_features(1).for_each(|case| holds(name, model, case));
    all_features(2).for_each(|case| holds(name, model, case.preempted(3)));
}

fn batches_hold(cases: &[(u16, Features, Buffers)]) {
    for &(size, features, buffers) in cases {
        holds("batches arrive whole", batches_arrive_whole, Case::new(size, features, buffers));
    }
}

#[test]
fn split_batches_arrive_whole() {
    batches_hold(&[
        (1, SPLIT, Buffers::Short),
        (2, SPLIT, Buffers::Short),
        (2, SPLIT, Buffers::Long),
        (4, SPLIT, Buffers::Long),
        (2, SPLIT | IN_ORDER, Buffers::Short),
        (4, SPLIT | IN_ORDER, Buffers::Long),
    ]);
}

#[test]
fn packed_batches_arrive_whole() {
    batches_hold(&[
        (1, PACKED, Buffers::Short),
        (2, PACKED, Buffers::Short),
        (3, PACKED, Buffers::Short),
        (2, PACKED, Buffers::Long),
        (3, PACKED, Buffers::Long),
        (4, PACKED, Buffers::Long),
        (3, PACKED | IN_ORDER, Buffers::Short),
        (4, PACKED | IN_ORDER, Buffers::Long),
    ]);
}

#[test]
fn bursts_arrive_whole_like_single_calls() {
    for (size, features, buffers) in [
        (2, SPLIT, Buffers::Short),
        (2, SPLIT, Buffers::Long),
        (2, PACKED, Buffers::Short),
        (2, PACKED, Buffers::Long),
        (3, PACKED, Buffers::Short),
    ] {
        // The limit keeps each case small: each end makes an attempt more than in a batch.
        let case = Case::new(size, features, buffers).preempted(3);
        holds("bursts arrive whole", bursts_arrive_whole, case);
    }
}

#[test]
fn a_driver_that_peeks_sees_what_it_reaps() {
    holds_with_all_features("a driver peeks", a_driver_peeks, 1);
}

#[test]
fn a_sleeping_device_is_notified() {
    let name = "a sleeping device is notified";
    holds_with_all_features(name, sleeping_device, 1);
    holds_with_all_features(name, sleeping_device, 2);
    holds(name, sleeping_device, Case::new(3, PACKED | EVENT_IDX, Buffers::Long));
}

#[test]
fn a_sleeping_driver_is_notified() {
    let name = "a sleeping driver is notified";
    holds_with_all_features(name, sleeping_driver, 1);
    holds_with_all_features(name, sleeping_driver, 2);
    holds(name, sleeping_driver, Case::new(3, PACKED | EVENT_IDX, Buffers::Long));
}

#[test]
fn both_sides_sleep_and_wake_each_other() {
    for features in SUPPRESSION.into_iter().flat_map(|features| [features, features | IN_ORDER]) {
        // The limit keeps each case below 5,000 interleavings.
        holds("both sides sleep", both_sides_sleep, Case::new(2, features, Buffers::Short).preempted(2));
    }
}

/// An end sleeps until several buffers have arrived.
#[test]
fn an_end_that_arms_for_several_buffers_is_notified() {
    let name = "a driver arms for several buffers";
    holds_with_few_preemptions(name, a_driver_arms_for_several_buffers);
    let name = "a device arms for several buffers";
    holds_with_few_preemptions(name, a_device_arms_for_several_buffers);
}

/// An end requests notifications once, and never again.
#[test]
fn an_end_that_asks_once_is_notified_of_every_buffer() {
    let name = "a driver asks once for every buffer";
    holds_with_few_preemptions(name, a_driver_asks_once_for_every_buffer);
    let name = "a device asks once for every buffer";
    holds_with_few_preemptions(name, a_device_asks_once_for_every_buffer);
}

#[test]
fn an_end_that_disarms_and_arms_again_is_notified() {
    for buffers in [1, 2] {
        holds_with_all_features("a driver disarms", a_driver_disarms, buffers);
        holds_with_all_features("a device disarms", a_device_disarms, buffers);
    }
}

#[test]
fn both_sides_that_begin_elsewhere_wake_each_other() {
    for features in SUPPRESSION.into_iter().flat_map(|features| [features, features | IN_ORDER]) {
        let case = Case::new(2, features, Buffers::Short).preempted(2);
        holds("both sides begin elsewhere", both_sides_begin_elsewhere, case);
    }
}

#[test]
fn a_publish_announces_what_was_published_silently() {
    for buffers in [1, 2] {
        let name = "silently available buffers are announced";
        holds_with_all_features(name, silently_available_buffers_are_announced, buffers);
        let name = "silently used buffers are announced";
        holds_with_all_features(name, silently_used_buffers_are_announced, buffers);
    }
}

#[test]
fn a_paused_end_misses_nothing() {
    for buffers in [1, 2] {
        holds_with_all_features("a device pauses", a_device_pauses, buffers);
        holds_with_all_features("a driver pauses", a_driver_pauses, buffers);
        let name = "a device pauses with completions";
        holds_with_all_features(name, a_device_pauses_with_completions, buffers);
    }
}

#[test]
fn a_chain_that_was_given_back_is_available_again() {
    for buffers in [1, 2] {
        holds_with_all_features("a chain is given back", a_chain_is_given_back, buffers);
    }
}

#[test]
fn a_completion_after_a_reset_is_refused() {
    for features in [SPLIT, PACKED] {
        let case = Case::new(2, features, Buffers::Long);
        holds("a late completion", a_late_completion_returns_its_buffer_once, case);
    }
}

#[test]
fn the_buffers_of_a_crashed_device_come_back_once() {
    for (name, model) in [
        ("a device crashes before the publish", a_device_crashes_before_the_publish as Model),
        ("a device crashes after the publish", a_device_crashes_after_the_publish),
    ] {
        for features in ORDERS {
            holds(name, model, Case::new(2, features, Buffers::Short));
        }
        holds(name, model, Case::new(3, PACKED, Buffers::Short));
        holds(name, model, Case::new(4, PACKED, Buffers::Long));
    }
}

/// Targets without 64-bit atomics access words in this way.
#[test]
fn packed_words_may_be_accessed_in_halves() {
    for (name, model, size, features, buffers) in [
        ("batches arrive whole", batches_arrive_whole as Model, 2, PACKED, Buffers::Long),
        ("a sleeping device is notified", sleeping_device, 2, PACKED, Buffers::Long),
        ("a sleeping driver is notified", sleeping_driver, 2, PACKED, Buffers::Long),
        ("a chain is given back", a_chain_is_given_back, 2, PACKED, Buffers::Short),
        ("a device crashes after the publish", a_device_crashes_after_the_publish, 2, PACKED, Buffers::Short),
    ] {
        holds(name, model, Case::new(size, features, buffers).in_halves());
    }
    let one = Case::new(1, PACKED, Buffers::Short).in_halves().preempted(3);
    holds("batches arrive whole", batches_arrive_whole, one);
}

/// The models that fail when an end leaves out an ordering, each with the message of its failure.
type Guards = &'static [(Model, &'static str)];

const DEVICE_GUARDS: Guards = &[
    (sleeping_device, DEVICE_SLEEPS),
    (a_device_disarms, DEVICE_SLEEPS),
    (a_device_arms_for_several_buffers, DEADLOCK),
    (a_device_asks_once_for_every_buffer, DEADLOCK),
];

const DRIVER_GUARDS: Guards = &[
    (sleeping_driver, DRIVER_SLEEPS),
    (a_driver_disarms, DRIVER_SLEEPS),
    (a_driver_arms_for_several_buffers, DEADLOCK),
    (a_driver_asks_once_for_every_buffer, DEADLOCK),
];

const fn guards(mutation: Mutation) -> Guards {
    match mutation {
        Mutation::Driver(Weakened::Acquire | Weakened::Release)
        | Mutation::Device(Weakened::Acquire | Weakened::Release) => {
            &[(batches_arrive_whole, "Causality violation"), (bursts_arrive_whole, "Causality violation")]
        }
        Mutation::Driver(Weakened::UpperHalfFirst) | Mutation::Device(Weakened::UpperHalfFirst) => {
            &[(batches_arrive_whole, WRONG_LENGTH), (bursts_arrive_whole, WRONG_LENGTH)]
        }
        Mutation::Driver(Weakened::FenceInPublish) | Mutation::Device(Weakened::FenceInArm) => DEVICE_GUARDS,
        Mutation::Driver(Weakened::FenceInArm) | Mutation::Device(Weakened::FenceInPublish) => DRIVER_GUARDS,
    }
}

thread_local! {
    /// Whether a model on this thread is expected to fail. loom stays on the thread of its caller.
    static EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// Suppresses the report of failures that are expected.
fn report_unexpected_failures_only() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |failure| {
        if !EXPECTED.get() {
            report(failure);
        }
    }));
}

/// Returns the message with which a model fails, if it fails.
fn failure(model: Model, case: Case) -> Option<String> {
    EXPECTED.set(true);
    let outcome = panic::catch_unwind(|| explore(model, case));
    EXPECTED.set(false);
    outcome.err().map(|payload| message(&*payload))
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Returns the mutation, and the results of the models that should fail because of the mutation and
/// do not.
fn missed(case: Case, mutation: Mutation) -> Option<(Case, Mutation, Vec<Option<String>>)> {
    let failures = guards(mutation).iter().map(|(model, expected)| {
        let failure = failure(*model, case.without(mutation));
        let caught = failure.as_deref().is_some_and(|message| message.contains(expected));
        (!caught).then_some(failure)
    });
    let missed: Vec<_> = failures.flatten().collect();
    let (models, Case { features, buffers, .. }) = (guards(mutation).len(), case);
    let caught = models - missed.len();
    println!("{features:?}, {buffers:?}, {mutation:?}: caught by {caught} of {models} models");
    (!missed.is_empty()).then_some((case, mutation, missed))
}

#[test]
fn every_forgotten_ordering_is_caught() {
    report_unexpected_failures_only();
    let cases = SUPPRESSION.into_iter().flat_map(|f| Buffers::ALL.map(|b| Case::new(2, f, b)));
    let mutations = || {
        Weakened::ALL
            .into_iter()
            .flat_map(|left_out| [Mutation::Driver(left_out), Mutation::Device(left_out)])
    };
    let missed: Vec<_> =
        cases.flat_map(|case| mutations().filter_map(move |mutation| missed(case, mutation))).collect();
    assert!(missed.is_empty(), "no model failed for {missed:?}");
}

#[test]
fn a_lower_half_that_is_loaded_first_is_caught() {
    report_unexpected_failures_only();
    let case = Case::new(2, PACKED, Buffers::Long).in_halves();
    assert_eq!(missed(case, Mutation::Device(Weakened::UpperHalfFirst)).map(|(.., failures)| failures), None);
}

/// A model that fails for another reason than the ordering that is left out shows nothing.
#[test]
fn a_failure_with_another_message_is_not_an_ordering_that_is_caught() {
    report_unexpected_failures_only();
    let broken: Model = |_| panic!("the harness is broken");
    let failure = failure(broken, Case::new(2, SPLIT, Buffers::Short));
    assert_eq!(failure.as_deref(), Some("the harness is broken"));
}
