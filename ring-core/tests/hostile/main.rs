//! Both ends of a queue in memory that a third party overwrites.
//!
//! Each end has a correct peer, so that the queue reaches deep states, and a scribbler, which
//! writes anything anywhere: between operations, or at the same time from another thread. Each end
//! keeps its guarantees nevertheless:
//!
//! - it does not panic;
//! - it accesses nothing but its areas and the indirect tables that it was referred to;
//! - it does a bounded amount of work in each call;
//! - it reports a violation once and is idle from then on;
//! - it neither loses nor duplicates a token or a cookie.

mod scribble;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::array::uniform4;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::subsequence;
use ring_core::Features;
use ring_core::memory::RawMemory;
use scribble::{Scribble, scribble};
use support::{
    Burst, BurstEnd, DESCRIPTORS, DeviceCall, DriverCall, EVENT_IDX, Ends, IN_ORDER, INDIRECT, Operation,
    PACKED, SPLIT, Step, ZEROED, cases, setup,
};

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        330 => operation().prop_map(Step::Operation),
        110 => burst().prop_map(Step::Burst),
        1 => Just(Step::ResetDriver),
        1 => Just(Step::ResetDevice),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        40 => (0..=3u8, 0..=3u8, any::<bool>())
            .prop_map(|(readable, writable, indirect)| Operation::Add { readable, writable, indirect }),
        36 => Just(Operation::PublishAvailable),
        4 => Just(Operation::PublishAvailableSilently),
        60 => (0..=12u8).prop_map(|storage| Operation::Pop { storage }),
        40 => (any::<u8>(), any::<u8>())
            .prop_map(|(which, written)| Operation::Complete { which, written }),
        10 => any::<u8>().prop_map(|which| Operation::Unpop { which }),
        27 => Just(Operation::PublishUsed),
        3 => Just(Operation::PublishUsedSilently),
        40 => Just(Operation::Reap),
        8 => Just(Operation::ArmDriver),
        8 => Just(Operation::ArmDevice),
        2 => Just(Operation::SuspendDriver),
        2 => any::<u32>().prop_map(|base| Operation::SuspendDevice { base }),
        1 => Just(Operation::MoveDevice),
        4 => Just(Operation::CrashDevice),
        8 => Just(Operation::Reset),
    ]
}

/// Up to four calls of one end, with numbers that the burst takes modulo their bounds.
fn burst() -> impl Strategy<Value = Burst> {
    let driver_call = prop_oneof![
        (any::<u8>(), any::<u8>(), any::<bool>())
            .prop_map(|(readable, writable, indirect)| DriverCall::Add { readable, writable, indirect }),
        Just(DriverCall::Reap),
    ];
    let device_call = prop_oneof![
        any::<u8>().prop_map(|storage| DeviceCall::Pop { storage }),
        (any::<u8>(), any::<u8>()).prop_map(|(which, written)| DeviceCall::Complete { which, written }),
        (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(storage, limit, written)| DeviceCall::Serve {
            storage,
            limit,
            written
        }),
    ];
    let end = prop_oneof![
        6 => Just(BurstEnd::Publish),
        1 => Just(BurstEnd::PublishSilently),
        2 => Just(BurstEnd::Drop),
    ];
    prop_oneof![
        (uniform4(option::of(driver_call)), end.clone())
            .prop_map(|(calls, end)| Burst::Driver { calls, end }),
        (uniform4(option::of(device_call)), end).prop_map(|(calls, end)| Burst::Device { calls, end }),
    ]
}

/// A size and the negotiated features.
fn queue() -> impl Strategy<Value = (u16, Features)> {
    let format = prop_oneof![
        (0..=3u32, Just(SPLIT)).prop_map(|(order, format)| (1 << order, format)),
        (1..=8u16, Just(PACKED)),
    ];
    (format, subsequence(vec![EVENT_IDX, INDIRECT, IN_ORDER], 0..=3))
        .prop_map(|((size, format), features)| (size, features.into_iter().fold(format, Features::union)))
}

/// What the scribbler writes before one step: most often nothing.
fn scribbles() -> impl Strategy<Value = Vec<Scribble>> {
    prop_oneof![12 => Just(Vec::new()), 1 => vec(scribble(), 1..4)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(2048)) })]

    #[test]
    fn ends_survive_scribbles_between_operations(
        (size, features) in queue(),
        steps in vec((scribbles(), step()), 1..200),
    ) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut ends = Ends::new(&memory, setup(size, features));
        for (scribbles, step) in steps {
            scribbles.iter().for_each(|scribble| scribble.apply(&memory));
            ends.perform(step);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(32)) })]

    #[test]
    fn ends_survive_scribbles_during_operations(
        (size, features) in queue(),
        scribbles in vec(scribble(), 1..64),
        steps in vec(step(), 200..400),
    ) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let scribbled = memory.clone();
            let done = &done;
            scope.spawn(move || {
                // The first round is always complete.
                for scribble in scribbles.iter().chain(scribbles.iter().cycle().take_while(|_| {
                    !done.load(Ordering::Relaxed)
                })) {
                    scribble.apply(&scribbled);
                }
            });
            let stop = StopOnDrop(done);
            let mut ends = Ends::new(&memory, setup(size, features));
            for _ in 0..8 {
                steps.iter().for_each(|&step| ends.perform(step));
            }
            drop(stop);
        });
    }
}

/// Stops the scribbler, also when an assertion fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
