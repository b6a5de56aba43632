//! Malformed rings that no driver writes. Each case writes the transmit queue by hand from index 0.

use crate::support::{Format, Guest};
use crate::support::{MEMORY_END, TX_AREAS, TX_QUEUE_SIZE};
use ring_core::memory::Memory;
use snd_host::spec::TX_QUEUE;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// The flag of a packed descriptor that is available before the first wrap.
const AVAILABLE: u16 = 1 << 7;

/// The address of memory that no queue uses.
const BUFFER: u64 = MEMORY_END - 4096;

/// A ring that breaks a rule or only just complies with it.
pub(super) type Ring = (&'static str, fn(&mut Guest));

/// Returns the malformed rings of a format.
pub(super) fn of(format: Format) -> &'static [Ring] {
    match format {
        Format::Split => SPLIT,
        Format::Packed => PACKED,
    }
}

const SPLIT: &[Ring] = &[
    ("a chain that loops", |guest| {
        split(guest, &[(BUFFER, 4, NEXT, 1), (BUFFER, 4, NEXT, 0)], &[0], 1);
    }),
    ("120 GiB in overlapping segments", |guest| {
        let segments: Vec<_> =
            (1..31).map(|next| (BUFFER, u32::MAX, if next < 30 { NEXT } else { 0 }, next)).collect();
        split(guest, &segments, &[0], 1);
    }),
    ("a chain that continues beyond the descriptor table", |guest| {
        split(guest, &[(BUFFER, 4, NEXT, 64)], &[0], 1)
    }),
    ("a head beyond the descriptor table", |guest| split(guest, &[], &[64], 1)),
    ("the largest head", |guest| split(guest, &[], &[u16::MAX], 1)),
    ("the same head twice", |guest| split(guest, &[(BUFFER, 4, 0, 0)], &[0, 0], 2)),
    ("more chains than the queue has descriptors", |guest| split(guest, &[], &[], TX_QUEUE_SIZE + 1)),
    ("an available index one before the last", |guest| split(guest, &[], &[], u16::MAX)),
    ("a table of no descriptors", |guest| split(guest, &[(BUFFER, 0, INDIRECT, 0)], &[0], 1)),
    ("a table of one and a partial descriptor", |guest| split(guest, &[(BUFFER, 17, INDIRECT, 0)], &[0], 1)),
    ("a table of 4 GiB", |guest| split(guest, &[(BUFFER, u32::MAX - 15, INDIRECT, 0)], &[0], 1)),
    ("a table that is not in memory", |guest| split(guest, &[(1 << 40, 16, INDIRECT, 0)], &[0], 1)),
    ("a table that is longer than the queue", |guest| {
        let table: Vec<u8> = (1..=200).flat_map(|next| descriptor(BUFFER, 4, NEXT, next)).collect();
        guest.memory.write_bytes(BUFFER - 4096, &table).unwrap();
        split(guest, &[(BUFFER - 4096, 201 * 16, INDIRECT, 0)], &[0], 1);
    }),
    ("a table with a chain after it", |guest| {
        split(guest, &[(BUFFER, 16, INDIRECT | NEXT, 1), (BUFFER, 4, 0, 0)], &[0], 1);
    }),
    ("a table in a table", |guest| {
        guest.memory.write_bytes(BUFFER, &descriptor(BUFFER, 16, INDIRECT, 0)).unwrap();
        split(guest, &[(BUFFER, 16, INDIRECT, 0)], &[0], 1);
    }),
    ("a table that loops", |guest| {
        guest.memory.write_bytes(BUFFER, &descriptor(BUFFER, 4, NEXT, 0)).unwrap();
        split(guest, &[(BUFFER, 16, INDIRECT, 0)], &[0], 1);
    }),
    ("a readable segment after a writable one", |guest| {
        split(guest, &[(BUFFER, 8, WRITE | NEXT, 1), (BUFFER, 4, 0, 0)], &[0], 1);
    }),
    ("an address that overflows", |guest| split(guest, &[(u64::MAX, 4, 0, 0)], &[0], 1)),
    ("segments of length 0", |guest| {
        split(guest, &[(BUFFER, 0, NEXT, 1), (BUFFER, 0, WRITE, 0)], &[0], 1);
    }),
    ("a descriptor with every flag", |guest| split(guest, &[(BUFFER, 16, u16::MAX, 0)], &[0], 1)),
];

const PACKED: &[Ring] = &[
    ("a chain that never ends", |guest| packed(guest, &[(BUFFER, 4, 0, NEXT); TX_QUEUE_SIZE as usize])),
    ("120 GiB in overlapping segments", |guest| {
        let segments: Vec<_> =
            (0..30).map(|index| (BUFFER, u32::MAX, 0, if index < 29 { NEXT } else { 0 })).collect();
        packed(guest, &segments);
    }),
    ("a chain that stops before its end", |guest| packed(guest, &[(BUFFER, 4, 0, NEXT)])),
    ("an id beyond the last", |guest| packed(guest, &[(BUFFER, 4, 64, 0)])),
    ("the largest id", |guest| packed(guest, &[(BUFFER, 4, u16::MAX, 0)])),
    ("the same id for all chains", |guest| packed(guest, &[(BUFFER, 4, 0, 0); TX_QUEUE_SIZE as usize])),
    ("a table of no descriptors", |guest| packed(guest, &[(BUFFER, 0, 0, INDIRECT)])),
    ("a table of one and a partial descriptor", |guest| packed(guest, &[(BUFFER, 17, 0, INDIRECT)])),
    ("a table of 4 GiB", |guest| packed(guest, &[(BUFFER, u32::MAX - 15, 0, INDIRECT)])),
    ("a table that is not in memory", |guest| packed(guest, &[(1 << 40, 16, 0, INDIRECT)])),
    ("a table in a chain", |guest| packed(guest, &[(BUFFER, 16, 0, INDIRECT | NEXT), (BUFFER, 4, 0, 0)])),
    ("a table in a table", |guest| {
        guest.memory.write_bytes(BUFFER, &descriptor(BUFFER, 16, 0, INDIRECT)).unwrap();
        packed(guest, &[(BUFFER, 16, 0, INDIRECT)]);
    }),
    ("a readable segment after a writable one", |guest| {
        packed(guest, &[(BUFFER, 8, 0, WRITE | NEXT), (BUFFER, 4, 0, 0)]);
    }),
    ("an address that overflows", |guest| packed(guest, &[(u64::MAX, 4, 0, 0)])),
    ("segments of length 0", |guest| packed(guest, &[(BUFFER, 0, 0, NEXT), (BUFFER, 0, 0, WRITE)])),
    ("a descriptor with every flag", |guest| packed(guest, &[(BUFFER, 16, 0, !AVAILABLE & !(1 << 15))])),
    ("invalid event suppression flags", |guest| {
        guest.memory.write_bytes(TX_AREAS.driver, &[0xff; 4]).unwrap();
        packed(guest, &[(BUFFER, 4, 0, 0)]);
    }),
];

/// Returns a descriptor's bytes. The formats differ only in the meaning of the last two fields.
fn descriptor(address: u64, len: u32, third: u16, fourth: u16) -> Vec<u8> {
    let head = [&address.to_le_bytes()[..], &len.to_le_bytes()].concat();
    [&head[..], &third.to_le_bytes(), &fourth.to_le_bytes()].concat()
}

/// Writes a split ring: descriptors (address, length, flags, next), heads, and available index.
fn split(guest: &mut Guest, table: &[(u64, u32, u16, u16)], heads: &[u16], index: u16) {
    let table: Vec<u8> = table
        .iter()
        .flat_map(|(address, len, flags, next)| descriptor(*address, *len, *flags, *next))
        .collect();
    let heads: Vec<u8> = heads.iter().flat_map(|head| head.to_le_bytes()).collect();
    guest.memory.write_bytes(TX_AREAS.descriptor, &table).unwrap();
    guest.memory.write_bytes(TX_AREAS.driver + 4, &heads).unwrap();
    guest.memory.write_bytes(TX_AREAS.driver + 2, &index.to_le_bytes()).unwrap();
    guest.kick(TX_QUEUE);
}

/// Writes a packed ring: descriptors of address, length, id and flags, all made available.
fn packed(guest: &mut Guest, ring: &[(u64, u32, u16, u16)]) {
    let ring: Vec<u8> = ring
        .iter()
        .flat_map(|(address, len, id, flags)| descriptor(*address, *len, *id, flags | AVAILABLE))
        .collect();
    guest.memory.write_bytes(TX_AREAS.descriptor, &ring).unwrap();
    guest.kick(TX_QUEUE);
}
