//! The lines of a queue alone: two ends that write and read the same fields in shared memory as the
//! ends of a virtqueue, in the same order, and do nothing else.
//!
//! The ends check nothing, keep no records, and return buffers in order. They publish as
//! ring-core's ends do: once for each `submit` and for each `serve`. So two threads move the same
//! cache lines as with a virtqueue, in the time that the format takes without an implementation.

use std::marker::PhantomData;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use ring_core::Segment;

use crate::case::Case;
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::request::Request;
use crate::stub::packed::{AVAIL, Cursor, Descriptors, ID, USED, WRITE};
use crate::stub::split::{self, Available, INDEX, UsedHead};
use crate::stub::{Format, Packed, SIZE, Split};
use crate::tally::{Returned, Seen};

/// The lines of queues of the format `F`.
#[derive(Debug)]
pub struct Lines<F>(PhantomData<F>);

impl<F> Lines<F> {
    /// Returns the implementation.
    #[expect(clippy::new_without_default, reason = "a marker type, without a value")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl Implementation for Lines<Split> {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let Case::TwoThreads(_) = case else { return None };
        let fixture = Fixture::new(case, Split::FEATURES);
        let end = || SplitEnd::new(&fixture);
        let (driver, device) = (SplitDriver(end()), SplitDevice(end()));
        Some(Pair::boxed(fixture, driver, device))
    }
}

impl Implementation for Lines<Packed> {
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let Case::TwoThreads(_) = case else { return None };
        let fixture = Fixture::new(case, Packed::FEATURES);
        let end = || PackedEnd::new(&fixture);
        let (driver, device) = (PackedDriver(end()), PackedDevice(end()));
        Some(Pair::boxed(fixture, driver, device))
    }
}

/// Returns the one segment of a request.
#[inline(always)]
fn segment(request: &Request) -> Segment {
    request.writable().first().copied().unwrap_or_default()
}

/// Returns the segment of a descriptor. The length is the lower half of the second word.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
const fn described(address: u64, rest: u64) -> Segment {
    Segment { address, len: rest as u32 }
}

/// One end of a split queue.
#[derive(Debug)]
struct SplitEnd {
    descriptors: split::Descriptors,
    available: Available,
    used: split::Used,
    used_head: UsedHead,
    /// The number of entries that this end has written.
    written: u16,
    /// The number of entries that this end has taken.
    taken: u16,
}

impl SplitEnd {
    fn new(Fixture { arena, setup, .. }: &Fixture) -> Self {
        Self {
            descriptors: arena.view(setup.areas.descriptor),
            available: arena.view(setup.areas.driver),
            used: arena.view(setup.areas.device),
            used_head: arena.view(setup.areas.device),
            written: 0,
            taken: 0,
        }
    }
}

#[derive(Debug)]
struct SplitDriver(SplitEnd);

impl DriverEnd for SplitDriver {
    #[inline(never)]
    #[expect(clippy::cast_possible_truncation, reason = "there are 256 slots")]
    fn submit(&mut self, requests: &[Request]) {
        let Self(SplitEnd { descriptors, available, written, .. }) = self;
        for request in requests {
            let (slot, Segment { address, len }) = (usize::from(*written) % SIZE, segment(request));
            descriptors[slot][0].store(address, Relaxed);
            descriptors[slot][1].store(u64::from(len) | split::WRITE, Relaxed);
            available[2 + slot].store(slot as u16, Relaxed);
            *written = written.wrapping_add(1);
        }
        available[INDEX].store(*written, Release);
    }

    /// The cookie of a request is the number of its slot.
    #[inline(never)]
    #[expect(clippy::cast_possible_truncation, reason = "there are 256 slots")]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        let Self(SplitEnd { used, used_head, taken, .. }) = self;
        let end = used_head[INDEX].load(Acquire);
        while *taken != end {
            let entry = 1 + 2 * (usize::from(*taken) % SIZE);
            *taken = taken.wrapping_add(1);
            returned.add(used[entry].load(Relaxed) as u16, used[entry + 1].load(Relaxed));
        }
        returned
    }
}

#[derive(Debug)]
struct SplitDevice(SplitEnd);

impl DeviceEnd for SplitDevice {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        let Self(SplitEnd { descriptors, available, used, used_head, taken, .. }) = self;
        let count = usize::from(available[INDEX].load(Acquire).wrapping_sub(*taken)).min(limit);
        if count == 0 {
            return seen;
        }
        for _ in 0..count {
            let slot = usize::from(*taken) % SIZE;
            let head = available[2 + slot].load(Relaxed);
            let [address, rest] = &descriptors[usize::from(head) % SIZE];
            let segment = described(address.load(Relaxed), rest.load(Relaxed));
            seen.write(segment);
            seen.chains += 1;
            used[1 + 2 * slot].store(head.into(), Relaxed);
            used[2 + 2 * slot].store(segment.len, Relaxed);
            *taken = taken.wrapping_add(1);
        }
        used_head[INDEX].store(*taken, Release);
        seen
    }
}

/// One end of a packed queue.
#[derive(Debug)]
struct PackedEnd {
    descriptors: Descriptors,
    /// The next descriptor that this end writes.
    next: Cursor,
    /// The next descriptor that this end takes.
    take: Cursor,
}

impl PackedEnd {
    fn new(Fixture { arena, setup, .. }: &Fixture) -> Self {
        let descriptors = arena.view(setup.areas.descriptor);
        Self { descriptors, next: Cursor::default(), take: Cursor::default() }
    }

    /// Returns the second word of the next descriptor to take, if the word has the flags `due`.
    #[inline(always)]
    fn found(&self, due: u64) -> Option<u64> {
        let word = self.descriptors[self.take.slot()][1].load(Acquire);
        (word & (AVAIL | USED) == due).then_some(word)
    }

    /// Writes the second word of the next descriptor. The word of a batch's first descriptor is
    /// kept back in `first`, with its slot.
    #[inline(always)]
    fn put(&mut self, word: u64, first: &mut Option<(usize, u64)>) {
        let slot = self.next.slot();
        if first.is_none() {
            *first = Some((slot, word));
        } else {
            self.descriptors[slot][1].store(word, Relaxed);
        }
        self.next.advance(1);
    }

    /// Publishes a batch.
    #[inline(always)]
    fn publish(&self, first: Option<(usize, u64)>) {
        if let Some((slot, word)) = first {
            self.descriptors[slot][1].store(word, Release);
        }
    }
}

#[derive(Debug)]
struct PackedDriver(PackedEnd);

impl DriverEnd for PackedDriver {
    #[inline(never)]
    fn submit(&mut self, requests: &[Request]) {
        let Self(end) = self;
        let mut first = None;
        for request in requests {
            let Segment { address, len } = segment(request);
            end.descriptors[end.next.slot()][0].store(address, Relaxed);
            let id = u64::from(request.cookie) << ID;
            end.put(u64::from(len) | id | WRITE | end.next.available(), &mut first);
        }
        end.publish(first);
    }

    #[inline(never)]
    fn collect(&mut self, mut returned: Returned) -> Returned {
        let Self(end) = self;
        while let Some(word) = end.found(end.take.used()) {
            let [l0, l1, l2, l3, i0, i1, ..] = word.to_le_bytes();
            returned.add(u16::from_le_bytes([i0, i1]), u32::from_le_bytes([l0, l1, l2, l3]));
            end.take.advance(1);
        }
        returned
    }
}

#[derive(Debug)]
struct PackedDevice(PackedEnd);

impl DeviceEnd for PackedDevice {
    #[inline(never)]
    fn serve(&mut self, limit: usize, mut seen: Seen) -> Seen {
        let Self(end) = self;
        let (mut first, last) = (None, seen.chains + limit);
        while seen.chains < last
            && let Some(word) = end.found(end.take.available())
        {
            let segment = described(end.descriptors[end.take.slot()][0].load(Relaxed), word);
            seen.write(segment);
            seen.chains += 1;
            end.take.advance(1);
            let id = word & 0xffff << ID;
            end.put(u64::from(segment.len) | id | WRITE | end.next.used(), &mut first);
        }
        end.publish(first);
        seen
    }
}
