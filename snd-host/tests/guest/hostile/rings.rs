//! Rings that no driver writes. Each is the queue for audio to play, written by hand from its beginning.

use crate::support::{Format, Guest};
use crate::support::{MEMORY_END, TX_AREAS, TX_QUEUE_SIZE};
use ring_core::memory::Memory;
use snd_host::spec::TX_QUEUE;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// A descriptor of a packed ring that is available in the first round.
const AVAILABLE: u16 = 1 << 7;

/// A place in memory that no queue uses.
const PLACE: u64 = MEMORY_END - 4096;

/// A ring that breaks a rule, or goes to the edge of one.
pub(super) type Ring = (&'static str, fn(&mut Guest));

pub(super) fn of(format: Format) -> &'static [Ring] {
    match format {
        Format::Split => SPLIT,
        Format::Packed => PACKED,
    }
}

const SPLIT: &[Ring] = &[
    ("a chain that bites its tail", |guest| {
        split(guest, &[(PLACE, 4, NEXT, 1), (PLACE, 4, NEXT, 0)], &[0], 1);
    }),
    ("120 GiB in pieces that lie over each other", |guest| {
        let pieces: Vec<_> =
            (1..31).map(|next| (PLACE, u32::MAX, if next < 30 { NEXT } else { 0 }, next)).collect();
        split(guest, &pieces, &[0], 1);
    }),
    ("a chain that goes on after the table", |guest| split(guest, &[(PLACE, 4, NEXT, 64)], &[0], 1)),
    ("a head after the table", |guest| split(guest, &[], &[64], 1)),
    ("the last head there could be", |guest| split(guest, &[], &[u16::MAX], 1)),
    ("the same head twice", |guest| split(guest, &[(PLACE, 4, 0, 0)], &[0, 0], 2)),
    ("more chains than the queue has", |guest| split(guest, &[], &[], TX_QUEUE_SIZE + 1)),
    ("an index that has gone all the way round", |guest| split(guest, &[], &[], u16::MAX)),
    ("a table of no descriptors", |guest| split(guest, &[(PLACE, 0, INDIRECT, 0)], &[0], 1)),
    ("a table of a part of a descriptor", |guest| split(guest, &[(PLACE, 17, INDIRECT, 0)], &[0], 1)),
    ("a table of 4 GiB", |guest| split(guest, &[(PLACE, u32::MAX - 15, INDIRECT, 0)], &[0], 1)),
    ("a table that is not in memory", |guest| split(guest, &[(1 << 40, 16, INDIRECT, 0)], &[0], 1)),
    ("a table that is longer than the queue", |guest| {
        let table: Vec<u8> = (1..=200).flat_map(|next| descriptor(PLACE, 4, NEXT, next)).collect();
        guest.memory.write_bytes(PLACE - 4096, &table).unwrap();
        split(guest, &[(PLACE - 4096, 201 * 16, INDIRECT, 0)], &[0], 1);
    }),
    ("a table with a chain after it", |guest| {
        split(guest, &[(PLACE, 16, INDIRECT | NEXT, 1), (PLACE, 4, 0, 0)], &[0], 1);
    }),
    ("a table in a table", |guest| {
        guest.memory.write_bytes(PLACE, &descriptor(PLACE, 16, INDIRECT, 0)).unwrap();
        split(guest, &[(PLACE, 16, INDIRECT, 0)], &[0], 1);
    }),
    ("a table that bites its tail", |guest| {
        guest.memory.write_bytes(PLACE, &descriptor(PLACE, 4, NEXT, 0)).unwrap();
        split(guest, &[(PLACE, 16, INDIRECT, 0)], &[0], 1);
    }),
    ("a part to be read after one to be written", |guest| {
        split(guest, &[(PLACE, 8, WRITE | NEXT, 1), (PLACE, 4, 0, 0)], &[0], 1);
    }),
    ("an address that overflows", |guest| split(guest, &[(u64::MAX, 4, 0, 0)], &[0], 1)),
    ("a part of nothing", |guest| {
        split(guest, &[(PLACE, 0, NEXT, 1), (PLACE, 0, WRITE, 0)], &[0], 1);
    }),
    ("a descriptor with every flag", |guest| split(guest, &[(PLACE, 16, u16::MAX, 0)], &[0], 1)),
];

const PACKED: &[Ring] = &[
    ("a chain that never ends", |guest| packed(guest, &[(PLACE, 4, 0, NEXT); TX_QUEUE_SIZE as usize])),
    ("120 GiB in pieces that lie over each other", |guest| {
        let pieces: Vec<_> =
            (0..30).map(|index| (PLACE, u32::MAX, 0, if index < 29 { NEXT } else { 0 })).collect();
        packed(guest, &pieces);
    }),
    ("a chain that stops before its end", |guest| packed(guest, &[(PLACE, 4, 0, NEXT)])),
    ("an id after the last", |guest| packed(guest, &[(PLACE, 4, 64, 0)])),
    ("the last id there could be", |guest| packed(guest, &[(PLACE, 4, u16::MAX, 0)])),
    ("the same id for all", |guest| packed(guest, &[(PLACE, 4, 0, 0); TX_QUEUE_SIZE as usize])),
    ("a table of no descriptors", |guest| packed(guest, &[(PLACE, 0, 0, INDIRECT)])),
    ("a table of a part of a descriptor", |guest| packed(guest, &[(PLACE, 17, 0, INDIRECT)])),
    ("a table of 4 GiB", |guest| packed(guest, &[(PLACE, u32::MAX - 15, 0, INDIRECT)])),
    ("a table that is not in memory", |guest| packed(guest, &[(1 << 40, 16, 0, INDIRECT)])),
    ("a table in a chain", |guest| packed(guest, &[(PLACE, 16, 0, INDIRECT | NEXT), (PLACE, 4, 0, 0)])),
    ("a table in a table", |guest| {
        guest.memory.write_bytes(PLACE, &descriptor(PLACE, 16, 0, INDIRECT)).unwrap();
        packed(guest, &[(PLACE, 16, 0, INDIRECT)]);
    }),
    ("a part to be read after one to be written", |guest| {
        packed(guest, &[(PLACE, 8, 0, WRITE | NEXT), (PLACE, 4, 0, 0)]);
    }),
    ("an address that overflows", |guest| packed(guest, &[(u64::MAX, 4, 0, 0)])),
    ("a part of nothing", |guest| packed(guest, &[(PLACE, 0, 0, NEXT), (PLACE, 0, 0, WRITE)])),
    ("a descriptor with every flag", |guest| packed(guest, &[(PLACE, 16, 0, !AVAILABLE & !(1 << 15))])),
    ("wishes for notifications that mean nothing", |guest| {
        guest.memory.write_bytes(TX_AREAS.driver, &[0xff; 4]).unwrap();
        packed(guest, &[(PLACE, 4, 0, 0)]);
    }),
];

/// A descriptor; in both formats the same words in the same places, but for the last two.
fn descriptor(address: u64, len: u32, third: u16, fourth: u16) -> Vec<u8> {
    let head = [&address.to_le_bytes()[..], &len.to_le_bytes()].concat();
    [&head[..], &third.to_le_bytes(), &fourth.to_le_bytes()].concat()
}

/// Writes a split ring: descriptors of address, length, flags and next; heads; and their number.
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

/// Writes a packed ring: descriptors of address, length, id and flags, available in the first round.
fn packed(guest: &mut Guest, ring: &[(u64, u32, u16, u16)]) {
    let ring: Vec<u8> = ring
        .iter()
        .flat_map(|(address, len, id, flags)| descriptor(*address, *len, *id, flags | AVAILABLE))
        .collect();
    guest.memory.write_bytes(TX_AREAS.descriptor, &ring).unwrap();
    guest.kick(TX_QUEUE);
}
