//! Each end against someone else's implementation of the other one: what both sides of this library
//! misunderstand in the same way, these do not.
//!
//! Only split queues have such peers. rust-vmm's `virtio-queue` is the device for our driver;
//! `virtio-drivers` is the driver for our device.

mod contents;
mod our_device;
mod our_driver;
mod their_driver;

use proptest::collection::vec;
use proptest::prelude::*;
use ring_core::Features;

const SIZE: u16 = 8;
const EVENT_IDX: Features = Features::EVENT_IDX;
const INDIRECT: Features = Features::INDIRECT_DESC;

/// Something that one of the two sides does. Lengths are those of the readable and the writable
/// segments.
#[derive(Clone, Debug)]
enum Operation {
    Add {
        readable: Vec<u8>,
        writable: Vec<u8>,
    },
    Publish,
    /// The device takes a buffer.
    Take,
    /// The device answers one of the buffers that it has taken, with so much of what it may write.
    Answer {
        which: u8,
        written: u16,
    },
    /// The device publishes, and says whether it notifies.
    Return,
    /// The driver takes a buffer back.
    Reap,
    DriverSleeps,
    DeviceSleeps,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => (vec(1..20u8, 0..3), vec(1..20u8, 0..3))
            .prop_map(|(readable, writable)| Operation::Add { readable, writable }),
        4 => Just(Operation::Publish),
        6 => Just(Operation::Take),
        6 => (any::<u8>(), any::<u16>()).prop_map(|(which, written)| Operation::Answer { which, written }),
        4 => Just(Operation::Return),
        6 => Just(Operation::Reap),
        1 => Just(Operation::DriverSleeps),
        1 => Just(Operation::DeviceSleeps),
    ]
}

fn features() -> impl Strategy<Value = Features> {
    (any::<bool>(), any::<bool>()).prop_map(|(event_idx, indirect)| {
        let events = if event_idx { EVENT_IDX } else { Features::empty() };
        if indirect { events | INDIRECT } else { events }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn our_driver_works_with_the_device_of_rust_vmm(
        features in features(),
        operations in vec(operation(), 1..200),
    ) {
        our_driver::run(features, 0, &operations);
    }

    #[test]
    fn our_device_works_with_the_driver_of_virtio_drivers(
        features in features(),
        operations in vec(operation(), 1..200),
    ) {
        our_device::run(features, &operations);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4) })]

    #[test]
    fn our_driver_works_with_the_device_of_rust_vmm_after_the_last_index(
        features in features(),
        short in 0..20u32,
        operations in vec(operation(), 100..200),
    ) {
        our_driver::run(features, 65536 - short, &operations);
    }
}
