//! The load of one queue: a disk is written and read, and each byte is compared.

use std::collections::BTreeMap;
use std::fmt;

use proptest::test_runner::TestRng;

use crate::below;
use crate::disk::{HEADER, OK, READ, SECTOR, WRITE};
use crate::support::guest::{DATA, Queue, TestGuest};

/// How many requests of a queue are in flight. With two descriptors each, they fill the ring.
const SLOTS: u64 = 8;
/// The number of bytes of guest memory for each slot.
const SLOT: u64 = 0x2_0000;
/// The number of sectors that belong to a slot.
const SECTORS: usize = 80;

/// What has become of the requests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) completed: u64,
    pub(crate) bytes: u64,
    /// Requests that isolation-host has failed, because three losses of the disk counted against
    /// them. The guest repeats such a request if it is a write.
    pub(crate) failed: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) wrong: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        let Self { completed, bytes, failed, lost, doubled, wrong } = other;
        self.completed += completed;
        self.bytes += bytes;
        self.failed += failed;
        self.lost += lost;
        self.doubled += doubled;
        self.wrong += wrong;
    }

    /// Returns how many requests were lost, returned twice or wrong.
    pub(crate) const fn faults(&self) -> u64 {
        self.lost + self.doubled + self.wrong
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { completed, bytes, failed, lost, doubled, wrong } = self;
        let mebibytes = bytes >> 20;
        write!(
            f,
            "{completed} requests, {mebibytes} MiB compared, {failed} failed after three losses; \
             {lost} lost, {doubled} doubled, {wrong} wrong"
        )
    }
}

/// A part of the disk, and the guest memory for its requests.
struct Slot {
    /// The index of the slot in the whole disk.
    number: u64,
    /// What the disk has to contain.
    content: Vec<u8>,
    /// What is being written.
    writing: Option<Vec<u8>>,
}

/// A request in flight.
struct InFlight {
    slot: usize,
    /// The number of bytes that are read; 0 for a write.
    reads: usize,
}

/// The load of one queue.
pub(crate) struct Load {
    slots: Vec<Slot>,
    in_flight: BTreeMap<u32, InFlight>,
    made: u32,
    pub(crate) tally: Tally,
}

impl Load {
    /// The number of bytes of the disk that a queue uses.
    pub(crate) const DISK: u64 = SLOTS * (SECTORS * SECTOR) as u64;

    pub(crate) fn new(queue: u32) -> Self {
        let slot = |number| Slot { number, content: vec![0; SECTORS * SECTOR], writing: None };
        let first = u64::from(queue) * SLOTS;
        let slots = (first..first + SLOTS).map(slot).collect();
        Self { slots, in_flight: BTreeMap::new(), made: 0, tally: Tally::default() }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.is_empty()
    }

    /// Counts the requests that never came back.
    pub(crate) fn give_up(&mut self) {
        self.tally.lost += std::mem::take(&mut self.in_flight).len() as u64;
    }

    /// Makes a request for each free slot.
    pub(crate) fn make_requests(&mut self, guest: &TestGuest, queue: &mut Queue, random: &mut TestRng) {
        for slot in 0..self.slots.len() {
            if !self.in_flight.values().any(|request| request.slot == slot) {
                self.make_request(slot, guest, queue, random);
            }
        }
    }

    /// Writes, or reads and compares later. A write that has failed is repeated.
    fn make_request(&mut self, index: usize, guest: &TestGuest, queue: &mut Queue, random: &mut TestRng) {
        let slot = &mut self.slots[index];
        // Some requests are long, so that kills also hit copies.
        let sectors = if below(random, 4) == 0 { 1 + below(random, SECTORS as u64) } else { 1 };
        let len = usize::try_from(sectors).unwrap() * SECTOR;
        if slot.writing.is_none() && below(random, 2) == 0 {
            let fill = below(random, u64::MAX);
            let words = (0..len as u64 / 8).map(|word| fill.wrapping_mul(2 * word + 1).to_le_bytes());
            slot.writing = Some(words.flatten().collect());
        }
        let (kind, data) = match &slot.writing {
            Some(data) => (WRITE, &data[..]),
            None => (READ, &[][..]),
        };
        let sector = slot.number * SECTORS as u64;
        let header = [kind.to_le_bytes(), [0; 4]].concat().into_iter().chain(sector.to_le_bytes());
        let bytes: Vec<u8> = header.chain(data.iter().copied()).collect();
        let reads = if kind == READ { len } else { 0 };
        let room = u32::try_from(reads + 1).unwrap();
        guest.request(queue, slot.number * SLOT, &bytes, room, self.made);
        self.in_flight.insert(self.made, InFlight { slot: index, reads });
        self.made += 1;
    }

    /// Takes requests back and compares what they have read. Returns the number of requests.
    pub(crate) fn reap(&mut self, guest: &TestGuest, queue: &mut Queue) -> usize {
        let mut count = 0;
        loop {
            match queue.reap() {
                Ok(Some(used)) => self.complete(used.cookie, used.written, guest),
                Ok(None) => return count,
                // The ring names a request that the guest has back already.
                Err(_) => {
                    self.tally.doubled += 1;
                    return count;
                }
            }
            count += 1;
        }
    }

    fn complete(&mut self, cookie: u32, written: u32, guest: &TestGuest) {
        let Some(InFlight { slot, reads }) = self.in_flight.remove(&cookie) else {
            self.tally.doubled += 1;
            return;
        };
        let slot = &mut self.slots[slot];
        let data = slot.writing.as_ref().map_or(0, Vec::len) as u64;
        let at = DATA + slot.number * SLOT + HEADER as u64 + data;
        let answer = guest.bytes(at, u32::try_from(reads + 1).unwrap());
        let (read, status) = answer.split_at(reads);
        if status != [OK] {
            self.tally.failed += 1;
            return;
        }
        match slot.writing.take() {
            Some(data) => slot.content[..data.len()].copy_from_slice(&data),
            None if read == &slot.content[..reads] && written as usize == reads + 1 => {}
            None => self.tally.wrong += 1,
        }
        self.tally.completed += 1;
        self.tally.bytes += reads as u64;
    }
}
