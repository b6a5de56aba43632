//! The journal: records the requests in flight so that they survive the end of this process.
//!
//! A vhost-user back-end can ask the VMM to keep a file (`GET_INFLIGHT_FD`). The VMM returns the
//! file on the next connection (`SET_INFLIGHT_FD`). The file has one [`Journal`] for each queue.
//! Each step ends with the store of one word, so the process may be killed between any two
//! instructions:
//!
//! ```text
//!           2 record_taken            4 mark_returned
//!  not taken ────────────▶ in flight ─────────────────▶ returned with batch n + 1
//!      ▲                       │                            │
//!      └───────────────────────┘                            │ 5 prepare_batch: PREPARED = n + 1
//!           3 record_unpop                                  │   the ring publishes the batch
//!                                                           │ 6 commit_batch: COMMITTED = n + 1
//!                                                           ▼
//!                                                       not in flight
//! ```
//!
//! 1. [`start`](Journal::start) begins a journal without requests; [`stop`](Journal::stop) ends it.
//! 2. [`record_taken`](Journal::record_taken) records a chain with its segments. The serial number
//!    is stored last; until then, the next process takes the chain from the ring again.
//! 3. [`record_unpop`](Journal::record_unpop) removes the record of a chain that was put back.
//! 4. [`mark_returned`](Journal::mark_returned) marks a chain with the number of the next batch.
//! 5. [`prepare_batch`](Journal::prepare_batch) stores the number of the batch and the position at
//!    which it ends. The ring then publishes the batch.
//! 6. [`commit_batch`](Journal::commit_batch) stores the same word as committed. All chains that
//!    are marked with a committed batch have been returned.
//! 7. [`recover`](Journal::recover) reads what a previous process has left. If a batch is prepared
//!    and not committed, the ring shows whether the batch was published.
//!
//! The layout is not that of vhost-user's specification. The layout of the specification refers to
//! descriptors in the ring, so a process that recovers would have to read indirect tables from the
//! guest a second time, when they may have changed.

mod memory;
mod records;

use ring_core::memory::{Area as _, Load, Store};
use ring_core::{ChainRecord, Segment};

use crate::mmap::WindowArea;
use records::Records;

pub use memory::{JournalError, JournalMemory};
pub use records::JournaledChain;

/// Offsets in a queue's header.
const STATE: usize = 0;
const PREPARED: usize = 8;
const COMMITTED: usize = 16;
const LAST: usize = 24;
/// The size of the header.
const HEADER: usize = 64;

/// The journal of one queue.
#[derive(Debug)]
pub struct Journal {
    header: WindowArea,
    records: Records,
    /// The queue's size, and in bit 16 whether the queue is packed.
    state: u64,
    /// The last batch that was committed.
    committed: Batch,
}

/// A batch of chains that are returned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Batch {
    number: u64,
    /// The queue's used position after the batch.
    used: u16,
}

/// The state of a queue that a previous process has left.
#[derive(Debug)]
pub struct Recovered {
    /// The used position up to which the process had published.
    pub used: u16,
    /// The serial number of the last chain that the process had taken.
    pub last: u64,
    /// The chains in flight, in the order in which they were taken.
    pub chains: Vec<JournaledChain>,
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
    /// Reads the state that a previous process has left, if that process ended while the queue was
    /// running.
    ///
    /// `has_published` returns whether the ring shows that the process published the batch after
    /// that used position.
    pub fn recover(&mut self, has_published: impl Fn(u16) -> bool) -> Option<Recovered> {
        if self.header.load::<u64>(STATE, Load::Acquire) != self.state {
            return None;
        }
        self.committed = Batch::from_word(self.header.read(COMMITTED));
        let prepared = Batch::from_word(self.header.read(PREPARED));
        if prepared != self.committed && has_published(self.committed.used) {
            self.committed = prepared;
        }
        // The number of a batch that was not published is used again for other chains, so the marks
        // with this number are removed.
        let read = |id| self.records.read(id, self.committed.number);
        let mut chains: Vec<JournaledChain> = (0..self.size()).filter_map(read).collect();
        chains.iter().for_each(|chain| self.records.mark(chain.record.id, 0));
        self.header.store(PREPARED, self.committed.to_word(), Store::Release);
        self.header.store(COMMITTED, self.committed.to_word(), Store::Release);
        chains.sort_by_key(|chain| chain.record.serial);
        let newest = chains.last().map_or(0, |chain| chain.record.serial);
        Some(Recovered { used: self.committed.used, last: newest.max(self.header.read(LAST)), chains })
    }

    /// Starts the journal of a queue that has nothing in flight.
    pub fn start(&mut self, used: u16) {
        self.stop();
        (0..self.size()).for_each(|id| self.records.remove(id));
        self.committed = Batch { number: 0, used };
        for offset in [PREPARED, COMMITTED] {
            self.header.write(offset, self.committed.to_word());
        }
        self.header.write(LAST, 0u64);
        self.header.store(STATE, self.state, Store::Release);
    }

    /// Stops the journal, because the VMM itself knows the position of the queue.
    pub fn stop(&mut self) {
        self.header.store(STATE, 0u64, Store::Release);
    }

    /// Records a chain that was taken from the ring.
    pub fn record_taken(&mut self, record: &ChainRecord, readable: &[Segment], writable: &[Segment]) {
        self.records.write(record, readable, writable);
        self.header.store(LAST, record.serial, Store::Release);
    }

    /// Marks a chain as returned with the next batch.
    pub fn mark_returned(&mut self, id: u16) {
        self.records.mark(id, self.committed.number + 1);
    }

    /// Records the suspicion of this chain's request as a number.
    pub fn record_suspicion(&mut self, id: u16, number: u8) {
        self.records.set_suspicion(id, number);
    }

    /// Records that the newest chain was put back into the ring.
    pub fn record_unpop(&mut self, record: &ChainRecord) {
        self.records.remove(record.id);
        self.header.store(LAST, record.serial.saturating_sub(1), Store::Release);
    }

    /// Records that the marked chains are about to be published, up to the position `used`.
    pub fn prepare_batch(&mut self, used: u16) {
        if used != self.committed.used {
            let batch = Batch { number: self.committed.number + 1, used };
            self.header.store(PREPARED, batch.to_word(), Store::Release);
        }
    }

    /// Records that the marked chains have been published.
    pub fn commit_batch(&mut self) {
        let prepared: u64 = self.header.read(PREPARED);
        if prepared != self.committed.to_word() {
            self.header.store(COMMITTED, prepared, Store::Release);
            self.committed = Batch::from_word(prepared);
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

    fn record(serial: u64, id: u16) -> ChainRecord {
        ChainRecord { serial, writable: 3, id, count: 2 }
    }

    /// Makes a journal of two chains and marks the second as returned.
    fn two_chains(memory: &JournalMemory) -> Journal {
        let mut journal = journal(memory);
        journal.start(7);
        journal.record_taken(&record(1, 5), &[Segment::new(1, 2)], &[Segment::new(u64::MAX - 2, 3)]);
        journal.record_taken(&record(2, 0), &[], &[Segment::new(9, 3)]);
        journal.mark_returned(0);
        journal
    }

    fn left(memory: &JournalMemory, published: bool) -> (u16, u64, Vec<u64>) {
        let recovered = journal(memory).recover(|used| used == 7 && published).unwrap();
        (recovered.used, recovered.last, recovered.chains.iter().map(|chain| chain.record.serial).collect())
    }

    #[test]
    fn a_chain_is_recovered_as_it_was_recorded() {
        let memory = memory();
        let long: Vec<Segment> = (0..1000).map(|number| Segment::new(number, 1)).collect();
        let mut first = two_chains(&memory);
        first.record_taken(&ChainRecord { writable: 1000, ..record(3, 7) }, &[], &long);
        let chains = journal(&memory).recover(|_| false).unwrap().chains;
        assert_eq!(chains[0].record, record(1, 5));
        assert_eq!(chains[0].readable[..], [Segment::new(1, 2)]);
        assert_eq!(chains[0].writable[..], [Segment::new(u64::MAX - 2, 3)]);
        assert_eq!((chains[2].record.writable, &chains[2].writable[..]), (1000, &long[..]));
        // The journal of the other queue is empty.
        assert!(memory.queue(0, SIZE, true).unwrap().recover(|_| true).is_none());
    }

    #[test]
    fn a_marked_chain_is_gone_only_if_its_batch_was_published() {
        let killed_after = |steps: fn(&mut Journal), published| {
            let memory = memory();
            steps(&mut two_chains(&memory));
            left(&memory, published)
        };
        let (both, one) = ((7, 2, vec![1, 2]), (9, 2, vec![1]));
        // A batch that was not prepared does not count as published.
        assert_eq!(killed_after(|_| {}, true), both);
        assert_eq!(killed_after(|journal| journal.prepare_batch(9), false), both);
        assert_eq!(killed_after(|journal| journal.prepare_batch(9), true), one);
        let committed: fn(&mut Journal) = |journal| {
            journal.prepare_batch(9);
            journal.commit_batch();
        };
        assert_eq!(killed_after(committed, false), one);
        assert_eq!(killed_after(committed, true), one);
    }

    #[test]
    fn a_batch_that_was_not_published_marks_no_later_chain() {
        let memory = memory();
        two_chains(&memory).prepare_batch(9);
        let mut next = journal(&memory);
        next.recover(|_| false).unwrap();
        next.mark_returned(5);
        next.prepare_batch(10);
        next.commit_batch();
        assert_eq!(left(&memory, false), (10, 2, vec![2]));
    }

    #[test]
    fn an_unpopped_chain_is_not_recovered() {
        let memory = memory();
        let mut journal = two_chains(&memory);
        journal.record_unpop(&record(2, 0));
        assert_eq!(left(&memory, false), (7, 1, vec![1]));
    }

    #[test]
    fn a_stopped_or_changed_queue_recovers_nothing() {
        let memory = memory();
        let mut journal = two_chains(&memory);
        assert!(memory.queue(1, SIZE, false).unwrap().recover(|_| false).is_none());
        assert!(memory.queue(1, SIZE / 2, true).unwrap().recover(|_| false).is_none());
        journal.stop();
        assert!(self::journal(&memory).recover(|_| false).is_none());
        assert!(memory.queue(2, SIZE, true).is_none() && memory.queue(0, SIZE + 1, true).is_none());
    }

    #[test]
    fn arbitrary_contents_are_harmless() {
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
        let recovered = journal(&memory).recover(|_| true).unwrap();
        assert!(recovered.chains.iter().all(|chain| chain.readable.len() <= crate::limits::LONGEST_CHAIN));
    }
}
