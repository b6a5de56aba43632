//! The records of a queue, one for each chain that can be in flight.

use ring_core::memory::{Area as _, Load, Store};
use ring_core::{ChainRecord, Segment};
use smallvec::SmallVec;

use crate::limits::LONGEST_CHAIN;
use crate::mmap::WindowArea;

/// The largest number of segments that the record itself can hold.
const SHORT_CHAIN: usize = 6;

/// Offsets in a record.
const SERIAL: usize = 0;
const RETURNED: usize = 8;
const COUNTS: usize = 16;
const SUSPICION: usize = 24;
const SEGMENTS: usize = 32;
/// The size of a record.
pub(super) const RECORD: usize = 128;
/// The size of a segment: an address and a length of 64 bits each.
const SEGMENT: usize = 16;
/// The size of the segments of the longest chain.
pub(super) const LONG_CHAIN: usize = LONGEST_CHAIN * SEGMENT;

const _: () = assert!(SEGMENTS + SHORT_CHAIN * SEGMENT == RECORD);

/// The records, indexed by the ids of the chains.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) records: WindowArea,
    /// The segments of chains that are too long for a record.
    pub(super) long_chains: WindowArea,
}

/// A chain in flight, as the journal has recorded it.
#[derive(Debug)]
pub struct JournaledChain {
    /// The record with which the ring adopts the chain.
    pub record: ChainRecord,
    /// The segments that the device may read.
    pub readable: SmallVec<[Segment; 4]>,
    /// The segments that the device may write.
    pub writable: SmallVec<[Segment; 4]>,
    /// A number that says whether the request has crashed devices; 0 for a new request.
    pub suspicion: u8,
}

impl Records {
    /// Writes the record of a chain. The record is valid once its serial number is stored.
    pub(super) fn write(&self, record: &ChainRecord, readable: &[Segment], writable: &[Segment]) {
        let id = record.id;
        let numbers = (u64::try_from(readable.len()), u64::try_from(writable.len()));
        let (Ok(readables), Ok(writables)) = numbers else { return };
        self.remove(id);
        self.mark(id, 0);
        self.set_suspicion(id, 0);
        self.set(id, COUNTS, u64::from(record.count) | readables << 16 | writables << 32);
        let (area, mut at) = self.place(id, readable.len() + writable.len());
        for segment in readable.iter().chain(writable) {
            area.write(at, segment.address);
            area.write(at + 8, u64::from(segment.len));
            at += SEGMENT;
        }
        self.set(id, SERIAL, record.serial);
    }

    /// Sets the number of the batch with which a chain is returned; 0 for none.
    pub(super) fn mark(&self, id: u16, batch: u64) {
        self.set(id, RETURNED, batch);
    }

    /// Sets the number that says whether the request has crashed devices.
    pub(super) fn set_suspicion(&self, id: u16, number: u8) {
        self.set(id, SUSPICION, number.into());
    }

    /// Removes the record with this id.
    pub(super) fn remove(&self, id: u16) {
        self.set(id, SERIAL, 0);
    }

    /// Returns the chain with this id, unless the batch `committed` or an earlier batch returned
    /// the chain.
    #[expect(clippy::cast_possible_truncation, reason = "splits words into fields")]
    pub(super) fn read(&self, id: u16, committed: u64) -> Option<JournaledChain> {
        let (serial, returned) = (self.get(id, SERIAL), self.get(id, RETURNED));
        if serial == 0 || (1..=committed).contains(&returned) {
            return None;
        }
        let counts = self.get(id, COUNTS);
        let (readables, writables) = (usize::from((counts >> 16) as u16), usize::from((counts >> 32) as u16));
        let segments = (readables + writables).min(LONGEST_CHAIN);
        let (area, start) = self.place(id, segments);
        let segments = (0..segments).map(|index| {
            let at = start + index * SEGMENT;
            Segment::new(area.read(at), area.read::<u64>(at + 8) as u32)
        });
        let readable = segments.clone().take(readables).collect();
        let writable: SmallVec<[Segment; 4]> = segments.skip(readables).collect();
        let bytes = u32::try_from(Segment::total(&writable)).unwrap_or(u32::MAX);
        Some(JournaledChain {
            record: ChainRecord { serial, writable: bytes, id, count: counts as u16 },
            readable,
            writable,
            suspicion: u8::try_from(self.get(id, SUSPICION)).unwrap_or(u8::MAX),
        })
    }

    fn get(&self, id: u16, field: usize) -> u64 {
        self.records.load(usize::from(id) * RECORD + field, Load::Acquire)
    }

    fn set(&self, id: u16, field: usize, value: u64) {
        self.records.store(usize::from(id) * RECORD + field, value, Store::Release);
    }

    /// Returns the area and the offset of a chain's segments.
    fn place(&self, id: u16, segments: usize) -> (&WindowArea, usize) {
        if segments <= SHORT_CHAIN {
            (&self.records, usize::from(id) * RECORD + SEGMENTS)
        } else {
            (&self.long_chains, usize::from(id) * LONG_CHAIN)
        }
    }
}
