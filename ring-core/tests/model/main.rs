//! Compares random operations on both ends of a queue with a reference that consists of plain
//! lists.
//!
//! One generic body runs {split, packed} × {flags, event index} × {any order, in order} × {with,
//! without indirect tables}. For every operation the reference predicts the result of the end
//! exactly: the buffers, their order and the numbers of bytes written; whether the other side has
//! to be notified; and the position of the queue.

mod reference;
mod rig;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::subsequence;
use rig::Rig;
use ring_core::Features;
use ring_core::memory::RawMemory;
use support::{
    Anywhere, DESCRIPTORS, EVENT_IDX, IN_ORDER, INDIRECT, Operation, PACKED, SPLIT, ZEROED, cases, setup,
};

/// An operation whose buffers suit a queue of up to eight descriptors.
fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{
        Add, ArmDevice, ArmDriver, Complete, CrashDevice, MoveDevice, Pop, PublishAvailable,
        PublishAvailableSilently, PublishUsed, PublishUsedSilently, Reap, Reset, SuspendDevice,
        SuspendDriver, Unpop,
    };
    prop_oneof![
        8 => (0..=4u8, 0..=5u8, any::<bool>())
            .prop_map(|(readable, writable, indirect)| Add { readable, writable, indirect }),
        5 => Just(PublishAvailable),
        1 => Just(PublishAvailableSilently),
        8 => (0..=9u8).prop_map(|storage| Pop { storage }),
        6 => (any::<u8>(), any::<u8>()).prop_map(|(which, written)| Complete { which, written }),
        1 => any::<u8>().prop_map(|which| Unpop { which }),
        5 => Just(PublishUsed),
        1 => Just(PublishUsedSilently),
        6 => Just(Reap),
        3 => Just(ArmDriver),
        3 => Just(ArmDevice),
        1 => Just(SuspendDriver),
        1 => any::<u32>().prop_map(|base| SuspendDevice { base }),
        1 => Just(MoveDevice),
        1 => Just(CrashDevice),
        1 => Just(Reset),
    ]
}

/// Generates the features of a queue: `format`, with any of the features that change how the ends
/// work.
fn features(format: Features) -> impl Strategy<Value = Features> {
    subsequence(vec![EVENT_IDX, INDIRECT, IN_ORDER], 0..=3)
        .prop_map(move |features| features.into_iter().fold(format, Features::union))
}

/// Transfers `before` buffers, and then performs `operations`.
fn run(size: u16, features: Features, before: u32, operations: &[Operation]) {
    let mut words = ZEROED;
    let mut rig = Rig::new(Anywhere(RawMemory::from_mut(&mut words, DESCRIPTORS)), setup(size, features));
    for _ in 0..before {
        rig.transfer();
    }
    for &operation in operations {
        rig.perform(operation);
    }
    rig.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(512)) })]

    #[test]
    fn split_queues_behave_like_a_list(
        order in 0..=3u32,
        features in features(SPLIT),
        operations in vec(operation(), 1..200),
    ) {
        run(1 << order, features, 0, &operations);
    }

    /// The sizes include those that are not powers of two.
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
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(4)) })]

    /// The index of a split queue starts again from 0 after 65535.
    #[test]
    fn split_queues_work_across_the_wrap_of_their_indices(
        short in 0..20u32,
        features in features(SPLIT),
        operations in vec(operation(), 100..400),
    ) {
        run(4, features, 65536 - short, &operations);
    }
}
