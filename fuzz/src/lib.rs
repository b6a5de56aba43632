//! What the fuzz targets share: both ends of a queue, and a scribbler that the fuzzer controls.
//!
//! The ends and their guarantees are those of ring-core's hostile tests; only the source of the
//! input differs. A target attacks one end: the scribbler writes to the other side's areas. The
//! input chooses between plain calls and bursts of up to four calls.

use arbitrary::{Arbitrary, Unstructured};
use ring_core::Features;
use ring_core::memory::{Memory as _, RawMemory};
use support::{
    BUFFERS, DESCRIPTORS, DEVICE, DRIVER, EVENT_IDX, Ends, IN_ORDER, INDIRECT, Operation, PACKED, SPLIT,
    Step, ZEROED, setup,
};

pub use ring_core::Features as Format;

/// The end that is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The driver end: the scribbler forges what a device writes.
    Driver,
    /// The device end: the scribbler forges what a driver writes.
    Device,
}

/// One step of an input.
#[derive(Debug, Arbitrary)]
enum Input {
    /// One of the ends performs a step.
    Step(Step),
    /// The scribbler writes a 16-bit word, in an area or in a buffer.
    Word { at: u16, value: u16 },
    /// The scribbler writes a descriptor whose flags and lengths are small enough to be accepted.
    Descriptor { slot: u8, address: u16, len: u8, id: u8, flags: u16 },
}

/// Runs one input.
pub fn run(format: Features, end: End, input: &[u8]) {
    let mut input = Unstructured::new(input);
    // An input that is too short for another step ends here.
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
        match input.arbitrary()? {
            Input::Step(step) => ends.perform(bounded(step)),
            Input::Word { at, value } => scribble(&memory, forged(end, format, at), &value.to_le_bytes()),
            Input::Descriptor { slot, address, len, id, flags } => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&(BUFFERS + u64::from(address % 0x800)).to_le_bytes());
                bytes[8] = len;
                let [first, second] = if format == PACKED { [12, 14] } else { [14, 12] };
                bytes[first] = id % 9;
                bytes[second..second + 2].copy_from_slice(&flags.to_le_bytes());
                scribble(&memory, DESCRIPTORS + 16 * u64::from(slot % 8), &bytes);
            }
        }
    }
    Ok(())
}

/// Keeps buffers and storage small, so that most operations succeed.
fn bounded(step: Step) -> Step {
    match step {
        Step::Operation(Operation::Add { readable, writable, indirect }) => {
            Step::Operation(Operation::Add { readable: readable % 4, writable: writable % 4, indirect })
        }
        Step::Operation(Operation::Pop { storage }) => {
            Step::Operation(Operation::Pop { storage: storage % 13 })
        }
        Step::Operation(_) | Step::Burst(_) | Step::ResetDriver | Step::ResetDevice => step,
    }
}

/// The address of a word that the scribbler writes: in most cases a word that the other side would
/// write.
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
    memory.write_bytes(address, bytes).expect("the scribbler writes to shared memory only");
}
