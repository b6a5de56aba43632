//! The records of a queue: one for each chain that may be in flight.

use ring_core::memory::{Area as _, Load, Store};
use ring_core::{ChainRecord, Segment};
use smallvec::SmallVec;

use super::LONGEST_CHAIN;
use crate::mmap::WindowArea;

/// Segments that are noted in the record itself.
const SHORT_CHAIN: usize = 6;

/// Offsets in a record.
const SERIAL: usize = 0;
const RETURNED: usize = 8;
const COUNTS: usize = 16;
const SEGMENTS: usize = 32;
/// The size of a record.
pub(super) const RECORD: usize = 128;
/// The size of a segment: an address and a length, each 64 bits.
const SEGMENT: usize = 16;
/// The size of the longest chain's segments.
pub(super) const LONG_CHAIN: usize = LONGEST_CHAIN * SEGMENT;

const _: () = assert!(SEGMENTS + SHORT_CHAIN * SEGMENT == RECORD);

/// The records, by the chains' ids.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) records: WindowArea,
    /// Where the segments are that have no room in the records.
    pub(super) long_chains: WindowArea,
}

/// A chain that was in flight.
#[derive(Debug)]
pub struct Noted {
    /// The ring's part.
    pub taken: ChainRecord,
    /// What the device may read.
    pub readable: SmallVec<[Segment; 4]>,
    /// What the device may write.
    pub writable: SmallVec<[Segment; 4]>,
}

impl Records {
    /// Notes a chain. Until the end of that there is none with its id.
    pub(super) fn note(&self, taken: &ChainRecord, readable: &[Segment], writable: &[Segment]) {
        let id = taken.id;
        let numbers = (u64::try_from(readable.len()), u64::try_from(writable.len()));
        let (Ok(readables), Ok(writables)) = numbers else { return };
        self.forget(id);
        self.mark(id, 0);
        self.set(id, COUNTS, u64::from(taken.count) | readables << 16 | writables << 32);
        let (area, mut at) = self.place(id, readable.len() + writable.len());
        for segment in readable.iter().chain(writable) {
            area.write(at, segment.address);
            area.write(at + 8, u64::from(segment.len));
            at += SEGMENT;
        }
        self.set(id, SERIAL, taken.serial);
    }

    /// Notes the number of the batch with which a chain goes back; 0 if it does not.
    pub(super) fn mark(&self, id: u16, batch: u64) {
        self.set(id, RETURNED, batch);
    }

    /// Notes that no chain with this id is in flight.
    pub(super) fn forget(&self, id: u16) {
        self.set(id, SERIAL, 0);
    }

    /// The chain with this id, if one was in flight that did not go back with this batch or an earlier one.
    #[expect(clippy::cast_possible_truncation, reason = "takes words apart")]
    pub(super) fn read(&self, id: u16, settled: u64) -> Option<Noted> {
        let (serial, returned) = (self.get(id, SERIAL), self.get(id, RETURNED));
        if serial == 0 || (1..=settled).contains(&returned) {
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
        Some(Noted {
            taken: ChainRecord { serial, writable: bytes, id, count: counts as u16 },
            readable,
            writable,
        })
    }

    fn get(&self, id: u16, field: usize) -> u64 {
        self.records.load(usize::from(id) * RECORD + field, Load::Acquire)
    }

    fn set(&self, id: u16, field: usize, value: u64) {
        self.records.store(usize::from(id) * RECORD + field, value, Store::Release);
    }

    /// Where the segments of a chain are.
    fn place(&self, id: u16, segments: usize) -> (&WindowArea, usize) {
        if segments <= SHORT_CHAIN {
            (&self.records, usize::from(id) * RECORD + SEGMENTS)
        } else {
            (&self.long_chains, usize::from(id) * LONG_CHAIN)
        }
    }
}
