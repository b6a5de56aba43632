//! The requests that pass through a queue.

use ring_core::Segment;

use crate::arena::{Arena, LARGEST_QUEUE};
use crate::shape::{Shape, Shapes};

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    readable: Box<[Segment]>,
    writable: Box<[Segment]>,
    /// Room for an indirect table. Has no bytes if the descriptors go to the ring.
    pub table: Segment,
    /// The number of the request among the requests that were made together.
    pub cookie: u16,
}

/// The smallest distance in bytes between the starts of the buffers of two requests.
const STRIDE: u32 = 128;

impl Request {
    /// Makes `count` requests. A request shares memory with the request that is [`LARGEST_QUEUE`]
    /// before it and is not in flight any more.
    #[must_use]
    pub fn several(arena: &Arena, shapes: Shapes, count: u16) -> Vec<Self> {
        (0..count).map(|cookie| Self::new(arena, shapes.of(cookie), cookie)).collect()
    }

    fn new(arena: &Arena, shape: Shape, cookie: u16) -> Self {
        let slot = u64::from(cookie % LARGEST_QUEUE);
        let mut address = arena.buffers() + slot * u64::from(shape.bytes().max(STRIDE));
        let mut segments = |lens: &[u32]| -> Box<[Segment]> {
            let segments = lens.iter().map(|&len| {
                let segment = Segment::new(address, len);
                address += u64::from(len);
                segment
            });
            segments.collect()
        };
        let (readable, writable) = (segments(shape.readable), segments(shape.writable));
        let table = if shape.is_indirect() {
            let bytes = 16 * u32::try_from(shape.segments().max(8)).expect("a chain is short");
            Segment::new(arena.tables() + slot * u64::from(bytes), bytes)
        } else {
            Segment::default()
        };
        Self { readable, writable, table, cookie }
    }

    /// Returns the segments that the device may read.
    #[inline(always)]
    #[must_use]
    pub const fn readable(&self) -> &[Segment] {
        &self.readable
    }

    /// Returns the segments that the device may write.
    #[inline(always)]
    #[must_use]
    pub const fn writable(&self) -> &[Segment] {
        &self.writable
    }

    /// Returns whether the descriptors go to an indirect table.
    #[inline(always)]
    #[must_use]
    pub const fn is_indirect(&self) -> bool {
        self.table.len > 0
    }

    /// Returns how many descriptors the request takes in the ring.
    #[must_use]
    pub const fn descriptors(&self) -> usize {
        if self.is_indirect() { 1 } else { self.readable.len() + self.writable.len() }
    }

    /// Returns how many bytes the device writes: all writable bytes.
    #[must_use]
    pub fn written(&self) -> u32 {
        self.writable().iter().map(|segment| segment.len).sum()
    }
}
