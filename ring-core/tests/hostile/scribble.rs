//! What the scribbler writes: sometimes any bytes, and more often bytes that look correct.

use proptest::prelude::*;
use ring_core::memory::{Memory as _, RawMemory};
use support::{BUFFERS, DESCRIPTORS, DEVICE, DRIVER, ZEROED};

/// Bytes at an address in shared memory.
#[derive(Clone, Debug)]
pub(crate) struct Scribble {
    address: u64,
    bytes: Vec<u8>,
}

impl Scribble {
    pub(crate) fn apply(&self, memory: &RawMemory<'_>) {
        memory.write_bytes(self.address, &self.bytes).expect("a scribble lies in shared memory");
    }
}

pub(crate) fn scribble() -> impl Strategy<Value = Scribble> {
    prop_oneof![
        4 => descriptor(),
        2 => field(DRIVER, 12),
        2 => field(DEVICE, 36),
        1 => anything(),
    ]
}

/// A write of a descriptor of either format, in the queue or in a table.
fn descriptor() -> impl Strategy<Value = Scribble> {
    let table = prop_oneof![4 => Just(DESCRIPTORS), 1 => Just(BUFFERS), 1 => Just(BUFFERS + 1)];
    let address = prop_oneof![4 => BUFFERS..BUFFERS + 0x100, 1 => any::<u64>(), 1 => u64::MAX - 16..];
    let len = prop_oneof![4 => (0..10u32).prop_map(|n| 16 * n), 1 => 0..100u32, 1 => any::<u32>()];
    (table, 0..9u64, address, len, small(), small()).prop_map(|(table, slot, address, len, third, fourth)| {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(third.to_le_bytes());
        bytes.extend(fourth.to_le_bytes());
        Scribble { address: table + 16 * slot, bytes }
    })
}

/// A write to one of the first `count` 16-bit fields of an area.
fn field(area: u64, count: u64) -> impl Strategy<Value = Scribble> {
    (0..count, small()).prop_map(move |(index, value)| Scribble {
        address: area + 2 * index,
        bytes: value.to_le_bytes().into(),
    })
}

/// A number that can be an index, an id, or the flags of a descriptor; sometimes any number.
fn small() -> impl Strategy<Value = u16> {
    prop_oneof![
        4 => 0..10u16,
        3 => (any::<bool>(), any::<bool>(), 0..8u16)
            .prop_map(|(available, used, flags)| u16::from(available) << 7 | u16::from(used) << 15 | flags),
        1 => any::<u16>(),
    ]
}

/// Returns a strategy for overwriting any eight bytes.
fn anything() -> impl Strategy<Value = Scribble> {
    (0..ZEROED.len() as u64 * 8 - 8, any::<[u8; 8]>())
        .prop_map(|(offset, bytes)| Scribble { address: DESCRIPTORS + offset, bytes: bytes.into() })
}
