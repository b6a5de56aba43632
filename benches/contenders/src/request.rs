//! What the requests look like that are passed back and forth.

use std::fmt;

use ring_core::Segment;

use crate::{Arena, BURST};

/// How a request is cut up. Displayed, it is the number of its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The lengths of its readable segments, in bytes.
    pub readable: &'static [u32],
    /// The lengths of its writable segments.
    pub writable: &'static [u32],
    /// Where its descriptors are.
    pub place: Place,
}

/// Where the descriptors of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the ring.
    Ring,
    /// In a table, behind a single descriptor in the ring.
    Table,
}

impl Shape {
    /// One descriptor.
    pub const ONE: Self = Self { readable: &[], writable: &[64], place: Place::Ring };
    /// Three descriptors.
    pub const THREE: Self = Self { readable: &[16, 64], writable: &[16], place: Place::Ring };
    /// The same three segments behind one descriptor.
    pub const THREE_INDIRECT: Self = Self { place: Place::Table, ..Self::THREE };

    /// Whether the ring holds a table's descriptor instead of the segments'.
    #[must_use]
    pub const fn is_indirect(self) -> bool {
        matches!(self.place, Place::Table)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.readable.len() + self.writable.len())?;
        f.write_str(if self.is_indirect() { "-indirect" } else { "" })
    }
}

/// One request of a burst.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place in the burst.
    pub cookie: u16,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
    /// Room for a table of its descriptors.
    pub table: Segment,
}

/// The least number of bytes from the buffers of one request to those of the next.
const STRIDE: u32 = 128;

impl Request {
    /// A burst of requests, each with memory of its own in `arena`.
    #[must_use]
    pub fn burst(arena: &Arena, shape: Shape) -> Vec<Self> {
        Self::some(arena, shape, BURST)
    }

    /// Up to [`QUEUE_SIZE`](crate::QUEUE_SIZE) requests, each with memory of its own in `arena`.
    #[must_use]
    pub fn some(arena: &Arena, shape: Shape, count: u16) -> Vec<Self> {
        (0..count).map(|cookie| Self::new(arena, shape, cookie)).collect()
    }

    fn new(arena: &Arena, shape: Shape, cookie: u16) -> Self {
        let bytes: u32 = shape.readable.iter().chain(shape.writable).sum();
        let mut address = arena.buffers() + u64::from(cookie) * u64::from(bytes.max(STRIDE));
        let mut segments = |lens: &[u32]| -> Vec<Segment> {
            let segments = lens.iter().map(|&len| {
                let segment = Segment::new(address, len);
                address += u64::from(len);
                segment
            });
            segments.collect()
        };
        let (readable, writable) = (segments(shape.readable), segments(shape.writable));
        let table_bytes = 16 * (readable.len() + writable.len()).max(8);
        let table = arena.tables() + u64::from(cookie) * table_bytes as u64;
        let table = Segment::new(table, u32::try_from(table_bytes).expect("a chain is short"));
        Self { cookie, readable, writable, table }
    }

    /// What the device may read.
    #[must_use]
    pub fn readable(&self) -> &[Segment] {
        &self.readable
    }

    /// What the device may write.
    #[must_use]
    pub fn writable(&self) -> &[Segment] {
        &self.writable
    }

    /// Descriptors that it takes up in the ring, without a table.
    #[must_use]
    pub const fn descriptors(&self) -> usize {
        self.readable.len() + self.writable.len()
    }

    /// Bytes that the device writes: all that it may.
    #[must_use]
    pub fn written(&self) -> u32 {
        self.writable().iter().map(|segment| segment.len).sum()
    }
}
