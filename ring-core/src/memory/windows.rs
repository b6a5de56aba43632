//! Shared memory in several parts.

use crate::segment::Segment;

use super::{AccessError, Memory, Table};

/// Several memories as one: each access goes to the first memory that contains all its bytes.
///
/// A kernel uses `Windows` where a queue's areas, or its indirect tables, come from several DMA
/// allocations.
///
/// All memories must have the same barriers, because `fence` is the fence of the first memory.
///
/// ```
/// use ring_core::memory::{AlignedWord, RawMemory, Windows};
/// use ring_core::{Areas, DriverQueue, Features, Segment, Setup, driver};
///
/// let mut pages = [[AlignedWord::ZERO; 64]; 3];
/// let [first, second, third] = &mut pages;
/// let windows = Windows([
///     RawMemory::from_mut(first, 0x1000),
///     RawMemory::from_mut(second, 0x8000),
///     RawMemory::from_mut(third, 0x4000),
/// ]);
/// let areas = Areas { descriptor: 0x1000, driver: 0x8000, device: 0x8004 };
/// let setup = Setup::new(4, Features::RING_PACKED | Features::INDIRECT_DESC, areas);
/// let mut queue = DriverQueue::new(windows, &setup, [driver::Slot::EMPTY; 4])?;
/// let table = Segment::new(0x4010, 32);
/// queue.add_indirect(table, &[Segment::new(0x4100, 1)], &[Segment::new(0x4101, 1)], ())?;
/// assert!(queue.publish().is_needed());
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// Exhaustive, because it consists of the memories.
#[derive(Clone, Copy, Debug)]
pub struct Windows<M, const N: usize>(pub [M; N]);

impl<M, const N: usize> Windows<M, N> {
    /// Returns the result of the first access that succeeds.
    fn first<T>(
        &self,
        address: u64,
        len: usize,
        access: impl FnMut(&M) -> Result<T, AccessError>,
    ) -> Result<T, AccessError> {
        let unmapped = AccessError { address, len: len as u64 };
        self.0.iter().map(access).find_map(Result::ok).ok_or(unmapped)
    }
}

/// Returns whether a memory contains the first and the last byte of a segment.
fn contains_ends(memory: &impl Memory, Segment { address, len }: Segment) -> bool {
    let last = address.checked_add(u64::from(len.saturating_sub(1)));
    let contains = |address| memory.read_bytes(address, &mut [0]).is_ok();
    last.is_some_and(|last| contains(address) && contains(last))
}

impl<M: Memory, const N: usize> Memory for Windows<M, N> {
    type Area = M::Area;

    fn area(&self, address: u64, len: usize) -> Result<M::Area, AccessError> {
        self.first(address, len, |window| window.area(address, len))
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.first(address, into.len(), |window| window.read_bytes(address, into))
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.first(address, from.len(), |window| window.write_bytes(address, from))
    }

    fn table(&self, table: Segment) -> Option<impl Table> {
        for window in &self.0 {
            let resolved = window.table(table);
            // A window that contains the table and does not resolve it has it copied. A later
            // window must not resolve it, because that window can have other bytes.
            if resolved.is_some() || contains_ends(window, table) {
                return resolved;
            }
        }
        None
    }

    fn lend(&self, segment: Segment) -> Result<(), AccessError> {
        self.first(segment.address, segment.len as usize, |window| window.lend(segment))
    }

    fn lend_table(&self, table: Segment) -> Result<(), AccessError> {
        self.first(table.address, table.len as usize, |window| window.lend_table(table))
    }

    #[inline]
    fn fence(&self) {
        if let Some(first) = self.0.first() {
            first.fence();
        }
    }
}
