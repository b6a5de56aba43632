//! Both ends of a queue, in memory that someone else scribbles on.
//!
//! Each end has a proper peer, so that it gets into deep states, and a vandal, who writes what he likes
//! wherever he likes: between operations, or at the same time from another thread. Whatever comes of it, each
//! end keeps to what it promises: it does not panic, touches nothing outside its areas and the tables it was
//! pointed at, does a bounded amount of work in each call, reports a violation once and is idle from then on,
//! and neither loses nor doubles a token or a cookie.

mod ends;
mod scribble;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/watched.rs"]
mod watched;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ends::{Ends, Operation};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use ring_core::Features;
use ring_core::memory::RawMemory;
use scribble::{Scribble, scribble};
use support::{DESCRIPTORS, EVENT_IDX, IN_ORDER, INDIRECT, PACKED, SPLIT, ZEROED, setup};

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        40 => (0..=3u8, 0..=3u8, any::<bool>())
            .prop_map(|(readable, writable, indirect)| Operation::Add { readable, writable, indirect }),
        40 => Just(Operation::PublishAvailable),
        60 => (0..=12u8).prop_map(|storage| Operation::Pop { storage }),
        40 => (any::<u8>(), any::<u8>())
            .prop_map(|(which, written)| Operation::Complete { which, written }),
        10 => any::<u8>().prop_map(|which| Operation::Unpop { which }),
        30 => Just(Operation::PublishUsed),
        40 => Just(Operation::Reap),
        8 => Just(Operation::ArmDriver),
        8 => Just(Operation::ArmDevice),
        2 => Just(Operation::RestDriver),
        2 => any::<u32>().prop_map(|base| Operation::RestDevice { base }),
        8 => Just(Operation::Reset),
        1 => Just(Operation::ResetDriver),
        1 => Just(Operation::ResetDevice),
        4 => Just(Operation::Die),
    ]
}

/// A size, and what is negotiated.
fn queue() -> impl Strategy<Value = (u16, Features)> {
    let format = prop_oneof![
        (0..=3u32, Just(SPLIT)).prop_map(|(order, format)| (1 << order, format)),
        (1..=8u16, Just(PACKED)),
    ];
    (format, subsequence(vec![EVENT_IDX, INDIRECT, IN_ORDER], 0..=3))
        .prop_map(|((size, format), features)| (size, features.into_iter().fold(format, Features::union)))
}

/// An operation, and what the vandal does before it: mostly nothing.
fn step() -> impl Strategy<Value = (Vec<Scribble>, Operation)> {
    (prop_oneof![12 => Just(Vec::new()), 1 => vec(scribble(), 1..4)], operation())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn ends_survive_scribbles_between_operations(
        (size, features) in queue(),
        steps in vec(step(), 1..200),
    ) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut ends = Ends::new(&memory, setup(size, features));
        for (scribbles, operation) in steps {
            scribbles.iter().for_each(|scribble| scribble.apply(&memory));
            ends.perform(operation);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn ends_survive_scribbles_during_operations(
        (size, features) in queue(),
        scribbles in vec(scribble(), 1..64),
        operations in vec(operation(), 200..400),
    ) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let vandal = memory.clone();
            let done = &done;
            scope.spawn(move || {
                // The first round is always whole.
                for scribble in scribbles.iter().chain(scribbles.iter().cycle().take_while(|_| {
                    !done.load(Ordering::Relaxed)
                })) {
                    scribble.apply(&vandal);
                }
            });
            let stop = StopOnDrop(done);
            let mut ends = Ends::new(&memory, setup(size, features));
            for _ in 0..8 {
                operations.iter().for_each(|&operation| ends.perform(operation));
            }
            drop(stop);
        });
    }
}

/// Stops the vandal also when an assertion fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
