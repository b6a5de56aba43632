//! The requests that pass through a queue.

use std::fmt;

use ring_core::Segment;

use crate::arena::Arena;

/// The segments of a request. The display form is the number of segments, such as `3-indirect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The lengths of the readable segments, in bytes.
    pub readable: &'static [u32],
    /// The lengths of the writable segments, in bytes.
    pub writable: &'static [u32],
    /// Where the descriptors are.
    pub placement: Placement,
}

/// Where the descriptors of a request are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the ring.
    Ring,
    /// In an indirect table, which takes one descriptor of the ring.
    Table,
}

impl Shape {
    /// One descriptor.
    pub const ONE: Self = Self { readable: &[], writable: &[64], placement: Placement::Ring };
    /// Three descriptors.
    pub const THREE: Self = Self { readable: &[16, 64], writable: &[16], placement: Placement::Ring };
    /// The segments of [`THREE`](Self::THREE) in an indirect table.
    pub const THREE_INDIRECT: Self = Self { placement: Placement::Table, ..Self::THREE };
    /// Sixteen segments in an indirect table. A burst of these does not fit the ring without
    /// tables.
    pub const SIXTEEN_INDIRECT: Self =
        Self { readable: &[64; 8], writable: &[64; 8], placement: Placement::Table };
    /// 4 KiB each way in one segment.
    pub const PAYLOAD_IN_ONE: Self =
        Self { readable: &[4096], writable: &[4096], placement: Placement::Ring };
    /// 4 KiB each way in four segments.
    pub const PAYLOAD_IN_FOUR: Self =
        Self { readable: &[1024; 4], writable: &[1024; 4], placement: Placement::Ring };
    /// 4 KiB each way in sixteen segments.
    pub const PAYLOAD_IN_SIXTEEN: Self =
        Self { readable: &[256; 16], writable: &[256; 16], placement: Placement::Ring };

    /// Returns whether the ring holds the descriptor of a table instead of those of the segments.
    #[must_use]
    pub const fn is_indirect(self) -> bool {
        matches!(self.placement, Placement::Table)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.readable.len() + self.writable.len())?;
        f.write_str(if self.is_indirect() { "-indirect" } else { "" })
    }
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The index of the request among those that were made together.
    pub cookie: u16,
    readable: Vec<Segment>,
    writable: Vec<Segment>,
    /// Room for an indirect table.
    pub table: Segment,
}

/// The least number of bytes between the starts of the buffers of two requests.
const STRIDE: u32 = 128;

impl Request {
    /// Makes `count` requests, at most one for each descriptor, each with its own memory in
    /// `arena`.
    #[must_use]
    pub fn several(arena: &Arena, shape: Shape, count: u16) -> Vec<Self> {
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

    /// Returns the segments that the device may read.
    #[must_use]
    pub fn readable(&self) -> &[Segment] {
        &self.readable
    }

    /// Returns the segments that the device may write.
    #[must_use]
    pub fn writable(&self) -> &[Segment] {
        &self.writable
    }

    /// Returns how many descriptors the request takes in a ring without an indirect table.
    #[must_use]
    pub const fn descriptors(&self) -> usize {
        self.readable.len() + self.writable.len()
    }

    /// Returns how many bytes the device writes: all writable bytes.
    #[must_use]
    pub fn written(&self) -> u32 {
        self.writable().iter().map(|segment| segment.len).sum()
    }
}
