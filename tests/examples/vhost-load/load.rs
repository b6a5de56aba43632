//! Requests of one queue, each of whose sectors is compared with what was written last.

use std::collections::BTreeSet;
use std::error::Error;

use end_to_end::disk::{Content, SECTOR};
use ring_core::Segment;

use crate::ram::{PAGE, Ram};
use crate::vmm::Ring;

/// The sectors that a queue has to itself.
pub(crate) const SECTORS: u64 = 512;
/// The requests that are in flight at most.
const DEPTH: usize = 24;
/// The bytes of a request's memory: header, data and status.
const ROOM: u64 = 0x1_2000;
/// The sizes of requests in sectors.
const SIZES: [u64; 6] = [1, 8, 3, 24, 64, 7];
const READ: u32 = 0;
const WRITE: u32 = 1;

/// A request in flight.
#[derive(Debug, Clone, Copy)]
struct Flight {
    first: u64,
    count: u64,
    /// The pass that the request writes; `None` for a read.
    pass: Option<u32>,
}

/// The load of one queue.
pub(crate) struct Load {
    /// The first sector of the queue.
    start: u64,
    /// The address of the queue's data.
    data: u64,
    /// The pass that has written each sector; 0 if none has.
    passes: Vec<u32>,
    flights: [Option<Flight>; DEPTH],
    pass: u32,
    random: u64,
    pub(crate) done: u64,
    /// The pages that requests let the device write, since [`begin_log`](Load::begin_log).
    written: BTreeSet<u64>,
}

impl Load {
    pub(crate) fn new(index: u32, data: u64) -> Self {
        let start = u64::from(index) * SECTORS;
        let random = start.wrapping_mul(2) + 1;
        let (passes, flights) = (vec![0; size(SECTORS)], [None; DEPTH]);
        Self { start, data, passes, flights, pass: 0, random, done: 0, written: BTreeSet::new() }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.flights.iter().flatten().count()
    }

    /// Begins to collect the pages that the device may write.
    pub(crate) fn begin_log(&mut self) {
        self.written.clear();
        for (slot, flight) in self.flights.into_iter().enumerate() {
            if let Some(flight) = flight {
                self.note_writable(slot, flight);
            }
        }
    }

    /// Returns the collected pages.
    pub(crate) fn written(&self) -> impl Iterator<Item = u64> + '_ {
        self.written.iter().copied()
    }

    /// Collects the pages that the device may write for a request.
    fn note_writable(&mut self, slot: usize, Flight { count, pass, .. }: Flight) {
        // The status is in the page of the header.
        let first = (self.data + slot as u64 * ROOM) / PAGE;
        self.written.insert(first);
        if pass.is_none() {
            let pages = (count * SECTOR as u64).div_ceil(PAGE);
            self.written.extend(first + 1..=first + pages);
        }
    }

    fn random(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// Adds requests for random sectors that no other request in flight has. Returns whether there
    /// are new ones.
    pub(crate) fn add(&mut self, ram: &Ram, ring: &mut Ring) -> Result<bool, Box<dyn Error>> {
        let mut added = false;
        while let Some(slot) = self.flights.iter().position(Option::is_none) {
            let count = SIZES[size(self.random()) % SIZES.len()];
            let first = self.random() % (SECTORS - count);
            let mut others = self.flights.iter().flatten();
            if others.any(|other| first < other.first + other.count && other.first < first + count) {
                break;
            }
            self.pass += 1;
            let pass = self.random().is_multiple_of(2).then_some(self.pass);
            self.submit(ram, ring, slot, Flight { first, count, pass })?;
            added = true;
        }
        Ok(added)
    }

    /// Adds one read of the sectors from `first` on.
    pub(crate) fn read(
        &mut self,
        ram: &Ram,
        ring: &mut Ring,
        first: u64,
        count: u64,
    ) -> Result<(), Box<dyn Error>> {
        self.submit(ram, ring, 0, Flight { first, count, pass: None })
    }

    fn submit(
        &mut self,
        ram: &Ram,
        ring: &mut Ring,
        slot: usize,
        flight: Flight,
    ) -> Result<(), Box<dyn Error>> {
        let Flight { first, count, pass } = flight;
        let header = self.data + slot as u64 * ROOM;
        let (data, status) = (header + 0x1000, header + 0x800);
        let bytes = size(count) * SECTOR;
        let kind = if pass.is_some() { WRITE } else { READ };
        ram.write(header, &[kind.to_le_bytes(), [0; 4]].concat())?;
        ram.write(header + 8, &(self.start + first).to_le_bytes())?;
        ram.write(status, &[0xff])?;
        let mut content = vec![0xee; bytes];
        if let Some(pass) = pass {
            Content { pass }.fill(self.start + first, &mut content);
        }
        ram.write(data, &content)?;
        // Several segments, so that a request is cut and joined.
        let (cut, bytes) = (u32::try_from(bytes / 3)?, u32::try_from(bytes)?);
        let parts = [Segment::new(data, cut), Segment::new(data + u64::from(cut), bytes - cut)];
        let (header, status) = (Segment::new(header, 16), Segment::new(status, 1));
        match pass {
            Some(_) => ring.add(&[header, parts[0], parts[1]], &[status], slot),
            None => ring.add(&[header], &[parts[0], parts[1], status], slot),
        }
        .map_err(|error| format!("{:?}", error.kind))?;
        self.flights[slot] = Some(flight);
        self.note_writable(slot, flight);
        Ok(())
    }

    /// Takes all requests that came back, and compares their sectors. Returns their number.
    pub(crate) fn reap(&mut self, ram: &Ram, ring: &mut Ring) -> Result<u64, Box<dyn Error>> {
        let mut count = 0;
        while let Some(used) = ring.reap()? {
            let flight = self.flights[used.cookie].take().ok_or("a request came back twice")?;
            self.check(ram, used.cookie, flight)?;
            count += 1;
        }
        self.done += count;
        Ok(count)
    }

    fn check(&mut self, ram: &Ram, slot: usize, flight: Flight) -> Result<(), Box<dyn Error>> {
        let header = self.data + slot as u64 * ROOM;
        let mut status = [0];
        ram.read(header + 0x800, &mut status)?;
        if status != [0] {
            return Err(format!("{flight:?} failed with status {status:?}").into());
        }
        let sectors = size(flight.first)..size(flight.first + flight.count);
        if let Some(pass) = flight.pass {
            self.passes[sectors].fill(pass);
            return Ok(());
        }
        let mut content = vec![0; size(flight.count) * SECTOR];
        ram.read(header + 0x1000, &mut content)?;
        for ((number, bytes), pass) in
            (flight.first..).zip(content.chunks_exact(SECTOR)).zip(&self.passes[sectors])
        {
            match *pass {
                0 if bytes.iter().all(|byte| *byte == 0) => {}
                0 => return Err(format!("sector {} was never written", self.start + number).into()),
                pass => Content { pass }
                    .check(self.start + number, bytes)
                    .map_err(|wrong| format!("{wrong}, not pass {pass}"))?,
            }
        }
        Ok(())
    }
}

/// Converts a number that is small.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
