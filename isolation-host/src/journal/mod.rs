//! What isolation-host has to remember when it is killed: the requests in flight, in memory that the VMM keeps.
//!
//! vhost-user lets a back-end ask its VMM to keep a file for it (`GET_INFLIGHT_FD`, `SET_INFLIGHT_FD`), which comes
//! back with the next connection. In it is a [`Journal`] for each queue. Each of its steps is one store of a word, so
//! that the process may die between any two instructions:
//!
//! - A chain that was taken is [noted](Journal::note) with its segments. Its serial number is stored last; before
//!   that the next process takes the chain from the ring again.
//! - A chain that is to go back is [marked](Journal::mark_returned) with the number of the next batch.
//! - Before the batch is published, its number and its end are [noted](Journal::intend); afterwards the same word is
//!   stored as [settled](Journal::settle). All chains marked with a settled number are done. If there is a number that
//!   is not settled, the ring says whether that batch was published.
//!
//! The layout is isolation-host's own, not the one in vhost-user's specification: that one notes descriptors as they
//! were in the ring, so that indirect tables would have to be read from the guest a second time.

mod memory;
mod records;

use ring_core::memory::{Area as _, Load, Store};
use ring_core::{ChainRecord, Segment};

use crate::mmap::WindowArea;
use records::Records;

pub use memory::{JournalError, JournalMemory};
pub use records::Noted;

/// The longest chain that can be noted, in segments.
pub const LONGEST_CHAIN: usize = 1024;

/// Offsets in a queue's header.
const STATE: usize = 0;
const INTENDED: usize = 8;
const SETTLED: usize = 16;
const LAST: usize = 24;
/// The size of the header.
const HEADER: usize = 64;

/// The journal of one queue.
#[derive(Debug)]
pub struct Journal {
    header: WindowArea,
    records: Records,
    /// Of the queue: its size, and in bit 16 whether it is packed.
    state: u64,
    /// The batch that was settled last, and where it ended.
    settled: Batch,
}

/// A batch of chains that go back together: its number, and where the queue's used position is afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    number: u64,
    used: u16,
}

/// What a process that died has left behind.
#[derive(Debug)]
pub struct Legacy {
    /// Where it had published up to.
    pub used: u16,
    /// The serial number of the last chain that it had taken.
    pub last: u64,
    /// The chains that were in flight, in the order in which they were taken.
    pub chains: Vec<Noted>,
}

impl Batch {
    const fn to_word(self) -> u64 {
        self.number << 16 | self.used as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the position")]
    const fn from_word(word: u64) -> Self {
        Self { number: word >> 16, used: word as u16 }
    }
}

impl Journal {
    /// What an earlier process has left of this queue, if one died while the queue ran. `has_published` says whether it
    /// published what it had staged at that position.
    pub fn recover(&mut self, has_published: impl Fn(u16) -> bool) -> Option<Legacy> {
        if self.header.load::<u64>(STATE, Load::Acquire) != self.state {
            return None;
        }
        self.settled = Batch::from_word(self.header.read(SETTLED));
        let intended = Batch::from_word(self.header.read(INTENDED));
        if intended != self.settled && has_published(self.settled.used) {
            self.settled = intended;
        }
        // A number that was intended in vain is used again, for other chains.
        let read = |id| self.records.read(id, self.settled.number);
        let mut chains: Vec<Noted> = (0..self.size()).filter_map(read).collect();
        chains.iter().for_each(|chain| self.records.mark(chain.taken.id, 0));
        self.header.store(INTENDED, self.settled.to_word(), Store::Release);
        self.header.store(SETTLED, self.settled.to_word(), Store::Release);
        chains.sort_by_key(|chain| chain.taken.serial);
        let newest = chains.last().map_or(0, |chain| chain.taken.serial);
        Some(Legacy { used: self.settled.used, last: newest.max(self.header.read(LAST)), chains })
    }

    /// Begins a journal of a queue that has nothing in flight.
    pub fn begin(&mut self, used: u16) {
        self.end();
        (0..self.size()).for_each(|id| self.records.forget(id));
        self.settled = Batch { number: 0, used };
        for offset in [INTENDED, SETTLED] {
            self.header.write(offset, self.settled.to_word());
        }
        self.header.write(LAST, 0u64);
        self.header.store(STATE, self.state, Store::Release);
    }

    /// Ends the journal: the VMM itself knows now where the queue stands.
    pub fn end(&mut self) {
        self.header.store(STATE, 0u64, Store::Release);
    }

    /// Notes a chain that was taken.
    pub fn note(&mut self, taken: &ChainRecord, readable: &[Segment], writable: &[Segment]) {
        self.records.note(taken, readable, writable);
        self.header.store(LAST, taken.serial, Store::Release);
    }

    /// Notes that a chain goes back with the next batch.
    pub fn mark_returned(&mut self, id: u16) {
        self.records.mark(id, self.settled.number + 1);
    }

    /// Notes that a chain was given back, the newest of all: it is in the ring as if it had never been taken.
    pub fn forget(&mut self, taken: &ChainRecord) {
        self.records.forget(taken.id);
        self.header.store(LAST, taken.serial.saturating_sub(1), Store::Release);
    }

    /// Notes that the marked chains are about to be published, up to `used`.
    pub fn intend(&mut self, used: u16) {
        if used != self.settled.used {
            let batch = Batch { number: self.settled.number + 1, used };
            self.header.store(INTENDED, batch.to_word(), Store::Release);
        }
    }

    /// Notes that they have been published.
    pub fn settle(&mut self) {
        let intended: u64 = self.header.read(INTENDED);
        if intended != self.settled.to_word() {
            self.header.store(SETTLED, intended, Store::Release);
            self.settled = Batch::from_word(intended);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the size")]
    const fn size(&self) -> u16 {
        self.state as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u16 = 8;

    fn memory() -> JournalMemory {
        let (file, bytes) = JournalMemory::make(2, SIZE).unwrap();
        JournalMemory::open(file, 0, bytes, 2, SIZE).unwrap()
    }

    fn journal(memory: &JournalMemory) -> Journal {
        memory.queue(1, SIZE, true).unwrap()
    }

    fn taken(serial: u64, id: u16) -> ChainRecord {
        ChainRecord { serial, writable: 3, id, count: 2 }
    }

    /// A journal of two chains, of which the second has been marked.
    fn two_chains(memory: &JournalMemory) -> Journal {
        let mut journal = journal(memory);
        journal.begin(7);
        journal.note(&taken(1, 5), &[Segment::new(1, 2)], &[Segment::new(u64::MAX - 2, 3)]);
        journal.note(&taken(2, 0), &[], &[Segment::new(9, 3)]);
        journal.mark_returned(0);
        journal
    }

    fn left(memory: &JournalMemory, published: bool) -> (u16, u64, Vec<u64>) {
        let legacy = journal(memory).recover(|used| used == 7 && published).unwrap();
        (legacy.used, legacy.last, legacy.chains.iter().map(|chain| chain.taken.serial).collect())
    }

    #[test]
    fn a_chain_is_left_as_it_was_taken() {
        let memory = memory();
        let long: Vec<Segment> = (0..1000).map(|number| Segment::new(number, 1)).collect();
        let mut first = two_chains(&memory);
        first.note(&ChainRecord { writable: 1000, ..taken(3, 7) }, &[], &long);
        let chains = journal(&memory).recover(|_| false).unwrap().chains;
        assert_eq!(chains[0].taken, taken(1, 5));
        assert_eq!(chains[0].readable[..], [Segment::new(1, 2)]);
        assert_eq!(chains[0].writable[..], [Segment::new(u64::MAX - 2, 3)]);
        assert_eq!((chains[2].taken.writable, &chains[2].writable[..]), (1000, &long[..]));
        // The other queue has nothing of it.
        assert!(memory.queue(0, SIZE, true).unwrap().recover(|_| true).is_none());
    }

    #[test]
    fn a_marked_chain_is_gone_if_its_batch_was_published_and_only_then() {
        let killed_after = |steps: fn(&mut Journal), published| {
            let memory = memory();
            steps(&mut two_chains(&memory));
            left(&memory, published)
        };
        let (both, one) = ((7, 2, vec![1, 2]), (9, 2, vec![1]));
        // The ring is where it was, so that a batch that was not even intended is not taken for published.
        assert_eq!(killed_after(|_| {}, true), both);
        assert_eq!(killed_after(|journal| journal.intend(9), false), both);
        assert_eq!(killed_after(|journal| journal.intend(9), true), one);
        let settled: fn(&mut Journal) = |journal| {
            journal.intend(9);
            journal.settle();
        };
        assert_eq!(killed_after(settled, false), one);
        assert_eq!(killed_after(settled, true), one);
    }

    #[test]
    fn a_batch_that_was_intended_in_vain_marks_nothing_later() {
        let memory = memory();
        two_chains(&memory).intend(9);
        let mut next = journal(&memory);
        next.recover(|_| false).unwrap();
        next.mark_returned(5);
        next.intend(10);
        next.settle();
        assert_eq!(left(&memory, false), (10, 2, vec![2]));
    }

    #[test]
    fn a_chain_that_was_given_back_was_never_taken() {
        let memory = memory();
        let mut journal = two_chains(&memory);
        journal.forget(&taken(2, 0));
        assert_eq!(left(&memory, false), (7, 1, vec![1]));
    }

    #[test]
    fn nothing_is_left_of_a_queue_that_was_stopped_or_has_become_another() {
        let memory = memory();
        let mut journal = two_chains(&memory);
        assert!(memory.queue(1, SIZE, false).unwrap().recover(|_| false).is_none());
        assert!(memory.queue(1, SIZE / 2, true).unwrap().recover(|_| false).is_none());
        journal.end();
        assert!(self::journal(&memory).recover(|_| false).is_none());
        assert!(memory.queue(2, SIZE, true).is_none() && memory.queue(0, SIZE + 1, true).is_none());
    }

    #[test]
    fn noise_is_no_danger() {
        let (file, bytes) = JournalMemory::make(2, SIZE).unwrap();
        let window = crate::mmap::Window::map(&file, 0, bytes, 0).unwrap();
        let memory = JournalMemory::open(file, 0, bytes, 2, SIZE).unwrap();
        two_chains(&memory);
        let area = ring_core::memory::Memory::area(&window, 64, usize::try_from(bytes).unwrap() / 8 * 8 - 64)
            .unwrap();
        let state = area.read::<u64>(usize::try_from(bytes - 64).unwrap() / 2);
        for at in (8..usize::try_from(bytes).unwrap() - 64).step_by(8) {
            area.write(at, u64::MAX);
        }
        area.write(usize::try_from(bytes - 64).unwrap() / 2, state);
        let legacy = journal(&memory).recover(|_| true).unwrap();
        assert!(legacy.chains.iter().all(|chain| chain.readable.len() <= LONGEST_CHAIN));
    }
}
