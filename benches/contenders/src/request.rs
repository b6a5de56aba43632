//! What the requests look like that are passed back and forth.

use std::fmt;

use ring_core::Segment;

use crate::{Arena, BURST};

/// How a request is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One descriptor: 64 writable bytes.
    One,
    /// Three descriptors: 16 and 64 readable bytes, then 16 writable ones.
    Three,
    /// The same three segments behind one descriptor.
    ThreeIndirect,
}

impl Shape {
    /// Whether the ring holds a table's descriptor instead of the segments'.
    #[must_use]
    pub const fn is_indirect(self) -> bool {
        matches!(self, Self::ThreeIndirect)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "1",
            Self::Three => "3",
            Self::ThreeIndirect => "3-indirect",
        })
    }
}

/// One request of a burst.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place in the burst.
    pub cookie: u16,
    /// Readable, then writable segments.
    segments: Vec<Segment>,
    readable: usize,
    /// Room for a table of its descriptors.
    pub table: Segment,
}

/// Bytes of the arena between the tables and between the buffers of two requests.
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
        let at = u64::from(STRIDE) * u64::from(cookie);
        let (lens, readable): (&[u32], _) = match shape {
            Shape::One => (&[64], 0),
            Shape::Three | Shape::ThreeIndirect => (&[16, 64, 16], 2),
        };
        let mut address = arena.buffers() + at;
        let segments = lens.iter().map(|&len| {
            let segment = Segment::new(address, len);
            address += u64::from(len);
            segment
        });
        let table = Segment::new(arena.tables() + at, STRIDE);
        Self { cookie, segments: segments.collect(), readable, table }
    }

    /// What the device may read.
    #[must_use]
    pub fn readable(&self) -> &[Segment] {
        self.segments.get(..self.readable).unwrap_or_default()
    }

    /// What the device may write.
    #[must_use]
    pub fn writable(&self) -> &[Segment] {
        self.segments.get(self.readable..).unwrap_or_default()
    }

    /// Descriptors that it takes up in the ring, without a table.
    #[must_use]
    pub const fn descriptors(&self) -> usize {
        self.segments.len()
    }

    /// Bytes that the device writes: all that it may.
    #[must_use]
    pub fn written(&self) -> u32 {
        self.writable().iter().map(|segment| segment.len).sum()
    }
}
