//! Random operations on both ends of a queue, against a reference made of plain lists.
//!
//! One generic body runs {split, packed} × {flags, event index}. After every operation it knows what each
//! end must answer: which buffers, in which order, with which bytes written; whether the other side has to
//! be notified, exactly; and where the queue stands.

mod reference;
mod rig;
#[path = "../support/mod.rs"]
mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use rig::{Operation, Rig};
use ring_core::Features;
use ring_core::memory::RawMemory;
use support::{EVENT_IDX, PACKED, SPLIT, ZEROED, setup};

/// What may happen to a queue. Buffers are sized for a queue of up to eight descriptors.
fn operation() -> impl Strategy<Value = Operation> {
    use Operation::{
        Add, ArmDevice, ArmDriver, Complete, MoveDevice, Pop, PublishAvailable, PublishAvailableSilently,
        PublishUsed, PublishUsedSilently, Reap, Reset, SuspendDevice, SuspendDriver,
    };
    prop_oneof![
        8 => (0..=4u8, 0..=5u8).prop_map(|(readable, writable)| Add { readable, writable }),
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

fn run(size: u16, features: Features, laps: u32, operations: &[Operation]) {
    let mut words = ZEROED;
    let mut rig = Rig::new(RawMemory::from_mut(&mut words, support::DESCRIPTORS), setup(size, features));
    for _ in 0..laps {
        rig.transfer();
    }
    for &operation in operations {
        rig.perform(operation);
    }
    rig.drain();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn split_queues_behave_like_a_list(
        order in 0..=3u16,
        event_idx: bool,
        operations in vec(operation(), 1..200),
    ) {
        run(1 << order, if event_idx { SPLIT | EVENT_IDX } else { SPLIT }, 0, &operations);
    }

    /// Sizes that are not powers of two are the interesting ones.
    #[test]
    fn packed_queues_behave_like_a_list(
        size in 1..=8u16,
        event_idx: bool,
        operations in vec(operation(), 1..200),
    ) {
        run(size, if event_idx { PACKED | EVENT_IDX } else { PACKED }, 0, &operations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4) })]

    /// The index of a split queue starts again from 0 after 65535.
    #[test]
    fn split_queues_go_on_after_the_last_index(
        short in 0..20u32,
        event_idx: bool,
        operations in vec(operation(), 100..400),
    ) {
        run(4, if event_idx { SPLIT | EVENT_IDX } else { SPLIT }, 65536 - short, &operations);
    }
}
