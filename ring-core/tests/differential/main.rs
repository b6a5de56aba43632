//! Tests each end against another implementation of the other end. This finds rules that both ends
//! of ring-core misunderstand in the same way.
//!
//! Other implementations exist for split queues only. rust-vmm's `virtio-queue` is the device for
//! our driver, and `virtio-drivers` is the driver for our device. `virtio-drivers` is tested on
//! x86-64 only: `cargo xtask foreign` tests other processors with Rust 1.85, for which
//! virtio-drivers is too new.

#![cfg(feature = "vm-memory")]

mod contents;
#[cfg(target_arch = "x86_64")]
mod our_device;
mod our_driver;
#[cfg(target_arch = "x86_64")]
mod their_driver;

use proptest::collection::vec;
use proptest::prelude::*;
use ring_core::Features;
use support::{EVENT_IDX, INDIRECT, SPLIT, cases};

const SIZE: u16 = 8;

/// A step that all compared implementations support. The others have fewer operations than
/// ring-core.
#[derive(Clone, Debug)]
enum Step {
    /// The driver adds a buffer with segments of these lengths.
    Add { readable: Vec<u8>, writable: Vec<u8> },
    /// The driver publishes, and decides whether to notify.
    PublishAvailable,
    /// The device takes a buffer.
    Take,
    /// The device completes one of the buffers that it has taken, and reports this number of bytes
    /// written.
    Complete { which: u8, written: u16 },
    /// The device publishes, and decides whether to notify.
    PublishUsed,
    /// The driver takes back a buffer.
    Reap,
    /// The driver asks for a notification and goes to sleep, unless there is a used buffer.
    ArmDriver,
    /// The device asks for a notification and goes to sleep, unless there is an available buffer.
    ArmDevice,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (vec(1..20u8, 0..3), vec(1..20u8, 0..3))
            .prop_map(|(readable, writable)| Step::Add { readable, writable }),
        4 => Just(Step::PublishAvailable),
        6 => Just(Step::Take),
        6 => (any::<u8>(), any::<u16>()).prop_map(|(which, written)| Step::Complete { which, written }),
        4 => Just(Step::PublishUsed),
        6 => Just(Step::Reap),
        1 => Just(Step::ArmDriver),
        1 => Just(Step::ArmDevice),
    ]
}

fn features() -> impl Strategy<Value = Features> {
    (any::<bool>(), any::<bool>()).prop_map(|(event_idx, indirect)| {
        let events = if event_idx { EVENT_IDX } else { SPLIT };
        if indirect { events | INDIRECT } else { events }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(256)) })]

    #[test]
    fn our_driver_works_with_the_device_of_rust_vmm(
        features in features(),
        steps in vec(step(), 1..200),
    ) {
        our_driver::run(features, 0, &steps);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn our_device_works_with_the_driver_of_virtio_drivers(
        features in features(),
        steps in vec(step(), 1..200),
    ) {
        our_device::run(features, &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases(4)) })]

    #[test]
    fn our_driver_works_with_rust_vmms_device_across_the_index_wrap(
        features in features(),
        short in 0..20u32,
        steps in vec(step(), 100..200),
    ) {
        our_driver::run(features, 65536 - short, &steps);
    }
}
