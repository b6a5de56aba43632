//! Indirect tables: how a device end reads them, and how a driver end fills them.

use crate::chain::Segment;
use crate::error::{AddReason, Violation};
use crate::memory::{Memory, Unmapped};

/// A descriptor as it lies in memory, in either format: `addr`, `len`, and two 16-bit fields.
pub(crate) const DESCRIPTOR_BYTES: u32 = 16;

/// How many descriptors are fetched in one go: two cache lines.
const WINDOW: u32 = 8;

/// A descriptor table somewhere in shared memory. It needs no alignment.
///
/// The table is fetched in windows of descriptors, and only the private copy is ever looked at. A table
/// whose links jump about costs one fetch for each jump.
pub(crate) struct Table<'m, M> {
    memory: &'m M,
    address: u64,
    /// Number of descriptors, at least 1.
    len: u32,
    /// The first descriptor in the window.
    start: u32,
    /// How many are in the window.
    fetched: u32,
    window: [[u8; DESCRIPTOR_BYTES as usize]; WINDOW as usize],
}

impl<'m, M: Memory> Table<'m, M> {
    /// The table of `bytes` bytes at `address`.
    pub(crate) fn new(memory: &'m M, address: u64, bytes: u32) -> Result<Self, Violation> {
        if bytes == 0 || !bytes.is_multiple_of(DESCRIPTOR_BYTES) {
            return Err(Violation::IndirectLength { len: bytes });
        }
        if address.checked_add(u64::from(bytes) - 1).is_none() {
            return Err(Violation::AddressOverflow { address, len: bytes });
        }
        let len = bytes / DESCRIPTOR_BYTES;
        Ok(Self { memory, address, len, start: 0, fetched: 0, window: Default::default() })
    }

    /// Number of descriptors.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// A copy of descriptor `index`, which is less than [`len`](Self::len): its address, and the other
    /// eight bytes.
    pub(crate) fn get(&mut self, index: u32) -> Result<(u64, u64), Violation> {
        if index.wrapping_sub(self.start) >= self.fetched {
            self.fetch(index).map_err(Violation::IndirectUnmapped)?;
        }
        let [low, high] = self
            .window
            .get((index - self.start) as usize)
            .and_then(|descriptor| descriptor.as_chunks().0.first_chunk())
            .copied()
            .unwrap_or_default();
        Ok((u64::from_le_bytes(low), u64::from_le_bytes(high)))
    }

    /// Fills the window with the descriptors from `index` on.
    #[cold]
    fn fetch(&mut self, index: u32) -> Result<(), Unmapped> {
        let count = (self.len - index).min(WINDOW);
        let window = self.window.get_mut(..count as usize).unwrap_or_default();
        let address = self.address + u64::from(index) * u64::from(DESCRIPTOR_BYTES);
        self.memory.read_bytes(address, window.as_flattened_mut())?;
        (self.start, self.fetched) = (index, count);
        Ok(())
    }
}

/// Writes a buffer's descriptors to `table`, and says how many.
///
/// `encode` makes the two words of a descriptor: of a segment, of whether it is writable, and of the index of
/// the one after it.
pub(crate) fn fill_table<M: Memory>(
    memory: &M,
    table: Segment,
    readable: &[Segment],
    writable: &[Segment],
    encode: impl Fn(Segment, bool, Option<u16>) -> (u64, u64),
) -> Result<u16, AddReason> {
    let too_small = |needed| AddReason::TableTooSmall { capacity: table.len / DESCRIPTOR_BYTES, needed };
    // `admit` found that the segments are at most as many as the queue has descriptors.
    let count = u16::try_from(readable.len() + writable.len()).map_err(|_| too_small(u16::MAX))?;
    let len = u32::from(count) * DESCRIPTOR_BYTES;
    if len > table.len {
        return Err(too_small(count));
    }
    let unmapped = AddReason::TableUnmapped(Unmapped { address: table.address, len: len.into() });
    table.address.checked_add(len.into()).ok_or(unmapped)?;
    let segments = readable.iter().map(|s| (s, false)).chain(writable.iter().map(|s| (s, true)));
    for (index, (segment, writable)) in (0..count).zip(segments) {
        let next = index + 1;
        let (low, high) = encode(*segment, writable, (next < count).then_some(next));
        let mut descriptor = [0; DESCRIPTOR_BYTES as usize];
        let (first, second) = descriptor.split_at_mut(8);
        first.copy_from_slice(&low.to_le_bytes());
        second.copy_from_slice(&high.to_le_bytes());
        let address = table.address + u64::from(index) * u64::from(DESCRIPTOR_BYTES);
        memory.write_bytes(address, &descriptor).map_err(AddReason::TableUnmapped)?;
    }
    Ok(count)
}
