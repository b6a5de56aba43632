//! What the targets share: both ends of a queue, and a vandal who writes what the fuzzer likes.
//!
//! The ends, and what they promise, are those of ring-core's own hostile tests; only where the input comes
//! from differs. A target concentrates on one end: it is the other side's areas that are scribbled on.

#[path = "../../ring-core/tests/hostile/ends.rs"]
mod ends;
#[path = "../../ring-core/tests/support/mod.rs"]
mod support;
#[path = "../../ring-core/tests/support/watched.rs"]
mod watched;

use arbitrary::{Arbitrary, Unstructured};
use ends::{Ends, Operation};
use ring_core::Features;
use ring_core::memory::{Memory as _, RawMemory};
use support::{
    BUFFERS, DESCRIPTORS, DEVICE, DRIVER, EVENT_IDX, IN_ORDER, INDIRECT, PACKED, SPLIT, ZEROED, setup,
};

pub use ring_core::Features as Format;

/// Which end the vandal lies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The driver end: a device's writes are forged.
    Driver,
    /// The device end: a driver's writes are forged.
    Device,
}

#[derive(Debug, Arbitrary)]
enum Step {
    Add {
        readable: u8,
        writable: u8,
        indirect: bool,
    },
    PublishAvailable,
    Pop {
        storage: u8,
    },
    Complete {
        which: u8,
        written: u8,
    },
    Unpop {
        which: u8,
    },
    PublishUsed,
    Reap,
    ArmDriver,
    ArmDevice,
    RestDriver,
    RestDevice {
        base: u32,
    },
    Reset,
    ResetDriver,
    ResetDevice,
    Die,
    /// The vandal writes a 16-bit word, wherever the areas or the buffers are.
    Word {
        at: u16,
        value: u16,
    },
    /// The vandal writes a descriptor whose flags and lengths are small enough to pass.
    Descriptor {
        slot: u8,
        address: u16,
        len: u8,
        id: u8,
        flags: u16,
    },
}

/// Runs one input.
pub fn run(format: Features, end: End, input: &[u8]) {
    let mut input = Unstructured::new(input);
    // An input that is too short for a step has come to its end.
    let _ = steps(format, end, &mut input);
}

fn steps(format: Features, end: End, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let size = if format == PACKED { input.int_in_range(1..=8)? } else { 1 << input.int_in_range(0..=3)? };
    let mut features = format;
    for feature in [EVENT_IDX, INDIRECT, IN_ORDER] {
        if input.arbitrary()? {
            features |= feature;
        }
    }
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut ends = Ends::new(&memory, setup(size, features));
    while !input.is_empty() {
        let operation = match input.arbitrary()? {
            Step::Add { readable, writable, indirect } => {
                Operation::Add { readable: readable % 4, writable: writable % 4, indirect }
            }
            Step::PublishAvailable => Operation::PublishAvailable,
            Step::Pop { storage } => Operation::Pop { storage: storage % 13 },
            Step::Complete { which, written } => Operation::Complete { which, written },
            Step::Unpop { which } => Operation::Unpop { which },
            Step::PublishUsed => Operation::PublishUsed,
            Step::Reap => Operation::Reap,
            Step::ArmDriver => Operation::ArmDriver,
            Step::ArmDevice => Operation::ArmDevice,
            Step::RestDriver => Operation::RestDriver,
            Step::RestDevice { base } => Operation::RestDevice { base },
            Step::Reset => Operation::Reset,
            Step::ResetDriver => Operation::ResetDriver,
            Step::ResetDevice => Operation::ResetDevice,
            Step::Die => Operation::Die,
            Step::Word { at, value } => {
                scribble(&memory, forged(end, format, at), &value.to_le_bytes());
                continue;
            }
            Step::Descriptor { slot, address, len, id, flags } => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&(BUFFERS + u64::from(address % 0x800)).to_le_bytes());
                bytes[8] = len;
                let [first, second] = if format == PACKED { [12, 14] } else { [14, 12] };
                bytes[first] = id % 9;
                bytes[second..second + 2].copy_from_slice(&flags.to_le_bytes());
                scribble(&memory, DESCRIPTORS + 16 * u64::from(slot % 8), &bytes);
                continue;
            }
        };
        ends.perform(operation);
    }
    Ok(())
}

/// Where the vandal writes a word, so that it is mostly where the other side would.
fn forged(end: End, format: Features, at: u16) -> u64 {
    let at = u64::from(at);
    let area = match end {
        End::Driver if format == SPLIT => DEVICE,
        End::Device if at & 0x8000 != 0 => DRIVER,
        End::Driver | End::Device => DESCRIPTORS,
    };
    match at & 0x6000 {
        0 => BUFFERS + at % 0x100 * 2,
        _ => area + at % 0x40 * 2,
    }
}

fn scribble(memory: &RawMemory<'_>, address: u64, bytes: &[u8]) {
    memory.write_bytes(address, bytes).expect("the vandal writes shared memory only");
}
