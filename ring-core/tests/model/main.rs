//! Random operations on both ends of a queue, against a reference made of plain lists.
//!
//! One generic body runs {split, packed} × {flags, event index}, in order or not, with indirect tables or
//! without. After every operation it knows what each
//! end must answer: which buffers, in which order, with which bytes written; whether the other side has to
//! be notified, exactly; and where the queue stands.

mod reference;
mod rig;
#[path = "../support/mod.rs"]
mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use rig::{Operation, Rig};
use ring_core::Features;
use ring_core::memory::RawMemory;
use support::{DESCRIPTORS, EVENT_IDX, IN_ORDER, INDIRECT, PACKED, SPLIT, ZEROED, setup};

/// What may happen to a queue. Buffers are sized for a queue of up to eight descriptors.
fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{
        Add, ArmDevice, ArmDriver, Complete, MoveDevice, Pop, PublishAvailable, PublishAvailableSilently,
        PublishUsed, PublishUsedSilently, Reap, Reset, SuspendDevice, SuspendDriver,
    };
    prop_oneof![
        8 => (0..=4u8, 0..=5u8, any::<bool>())
            .prop_map(|(readable, writable, indirect)| Add { readable, writable, indirect }),
        5 => Just(PublishAvailable),
        1 => Just(PublishAvailableSilently),
        8 => (0..=9u8).prop_map(|storage| Pop { storage }),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(which, written)| Complete { which, written }),
        5 => Just(PublishUsed),
        1 => Just(PublishUsedSilently),
        6 => Just(Reap),
        3 => Just(ArmDriver),
        3 => Just(ArmDevice),
        1 => Just(SuspendDriver),
        1 => Just(SuspendDevice),
        1 => Just(MoveDevice),
        1 => Just(Reset),
    ]
}

/// A queue of that format, with any of the features that change how it works.
fn features(format: Features) -> impl Strategy<Value = Features> {
    subsequence(vec![EVENT_IDX, INDIRECT, IN_ORDER], 0..=3)
        .prop_map(move |features| features.into_iter().fold(format, Features::union))
}

fn run(size: u16, features: Features, laps: u32, operations: &[Operation]) {
    let mut words = ZEROED;
    let mut rig = Rig::new(RawMemory::from_mut(&mut words, DESCRIPTORS), setup(size, features));
    for _ in 0..laps {
        rig.transfer();
    }
    for &operation in operations {
        rig.perform(operation);
    }
    rig.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn split_queues_behave_like_a_list(
        order in 0..=3u32,
        features in features(SPLIT),
        operations in vec(operation(), 1..200),
    ) {
        run(1 << order, features, 0, &operations);
    }

    /// Sizes that are not powers of two are the interesting ones.
    #[test]
    fn packed_queues_behave_like_a_list(
        size in 1..=8u16,
        features in features(PACKED),
        operations in vec(operation(), 1..200),
    ) {
        run(size, features, 0, &operations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4) })]

    /// The index of a split queue starts again from 0 after 65535.
    #[test]
    fn split_queues_go_on_after_the_last_index(
        short in 0..20u32,
        features in features(SPLIT),
        operations in vec(operation(), 100..400),
    ) {
        run(4, features, 65536 - short, &operations);
    }
}
