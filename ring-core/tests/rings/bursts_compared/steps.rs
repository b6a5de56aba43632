//! Random steps of both ends, in bursts and between bursts.

use proptest::prelude::*;
use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Features, Segment};
use support::{DESCRIPTORS, DEVICE, DRIVER, PACKED};

/// A call that is made in a burst.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Add { readable: usize, writable: usize },
    AddIndirect { table: Segment, readable: usize, writable: usize },
    Reap,
    Pop { room: usize },
    Complete { index: usize, written: u32 },
    Serve { room: usize, limit: usize },
}

/// What both ends do between two bursts, with plain calls.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Between {
    Nothing,
    Arm,
    ArmDelayed(u16),
    ArmAlways,
    Disarm,
    /// The device puts a chain back.
    Unpop(usize),
    /// The next burst finds both ends suspended.
    Suspend,
    Resume,
    Drain,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        4 => Just(Between::Nothing),
        4 => Just(Between::Arm),
        1 => (0..9u16).prop_map(Between::ArmDelayed),
        1 => Just(Between::ArmAlways),
        1 => Just(Between::Disarm),
        2 => (0..8usize).prop_map(Between::Unpop),
        1 => Just(Between::Suspend),
        2 => Just(Between::Resume),
        1 => Just(Between::Drain),
    ]
}

/// One burst of each end.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) steps: Vec<Step>,
    /// What both ends do after the bursts.
    pub(crate) between: Between,
    /// What is written to the rings or to a table before the bursts.
    pub(crate) scribble: Option<Scribble>,
}

pub(crate) fn round() -> impl Strategy<Value = Round> {
    let steps = prop::collection::vec(step(), 0..24);
    (steps, between(), prop::option::weighted(0.3, scribble())).prop_map(|(steps, between, scribble)| Round {
        steps,
        between,
        scribble,
    })
}

/// What is written to the rings or to a table.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scribble {
    /// Bytes at an address.
    Bytes(u64, [u8; 2]),
    /// The lower flags of the descriptor at an address change by these bits. The flags of the lap
    /// stay, so that a descriptor of a packed queue stays available.
    Flip(u64, u8),
}

fn scribble() -> impl Strategy<Value = Scribble> {
    let address = prop_oneof![
        3 => DESCRIPTORS..DESCRIPTORS + 0x40,
        3 => DRIVER..DRIVER + 0x10,
        3 => DEVICE..DEVICE + 0x20,
        1 => TABLES..TABLES + 0x40,
    ];
    let bytes = prop_oneof![Just([0, 0]), Just([1, 0]), Just([5, 0]), Just([0xff, 0xff]), any::<[u8; 2]>()];
    let in_ring = (0..8u64).prop_map(|slot| DESCRIPTORS + 16 * slot);
    let in_table = (0..TABLE_COUNT, 0..3u64).prop_map(|(index, slot)| table(index, 0).address + 16 * slot);
    // `WRITE`, `NEXT`, `INDIRECT`, or several.
    let bits = prop_oneof![5 => Just(2u8), 1 => Just(1u8), 1 => Just(4u8), 1 => 1..8u8];
    prop_oneof![
        3 => (address, bytes).prop_map(|(address, bytes)| Scribble::Bytes(address, bytes)),
        5 => (prop_oneof![in_ring, in_table], bits).prop_map(|(at, bits)| Scribble::Flip(at, bits)),
    ]
}

impl Scribble {
    pub(crate) fn apply(self, memory: &RawMemory<'_>, format: Features) {
        match self {
            Self::Bytes(address, bytes) => memory.write_bytes(address, &bytes).unwrap(),
            Self::Flip(descriptor, bits) => {
                let at = descriptor + if format.contains(PACKED) { 14 } else { 12 };
                let mut flags = [0];
                memory.read_bytes(at, &mut flags).unwrap();
                memory.write_bytes(at, &[flags[0] ^ bits]).unwrap();
            }
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4usize, 0..4usize).prop_map(|(readable, writable)| Step::Add { readable, writable }),
        3 => (tables(), 0..4usize, 0..4usize).prop_map(|(table, readable, writable)| Step::AddIndirect {
            table,
            readable,
            writable
        }),
        3 => Just(Step::Reap),
        4 => (0..7usize).prop_map(|room| Step::Pop { room }),
        3 => (0..8usize, 0..20u32).prop_map(|(index, written)| Step::Complete { index, written }),
        1 => (0..7usize, 0..4usize).prop_map(|(room, limit)| Step::Serve { room, limit }),
    ]
}

/// The address of the first table.
const TABLES: u64 = 0x2800;
/// The number of tables.
const TABLE_COUNT: u64 = 3;

/// Returns the table with this index, of six descriptors, `shift` bytes behind a place that is
/// aligned to 8.
const fn table(index: u64, shift: u64) -> Segment {
    Segment::new(TABLES + 0x68 * index + shift, 6 * 16)
}

/// A table: mostly one that a burst reads in place, else one that a burst copies. A table of an
/// earlier buffer may be overwritten, as if the driver broke the rules.
fn tables() -> impl Strategy<Value = Segment> {
    (0..TABLE_COUNT, prop_oneof![4 => Just(0), 1 => 1..8u64]).prop_map(|(index, shift)| table(index, shift))
}
