//! Indirect tables: how a device end reads them, and how a driver end fills them.

use crate::admission::{fitting, refusal};
use crate::chain::{MAX_CHAIN_BYTES, Segment, saturate};
use crate::error::{AddErrorKind, Violation};
use crate::memory::{AccessError, Memory};
use crate::ring::{Ring, State};

/// A descriptor as it lies in memory, in either format: `addr`, `len`, and two 16-bit fields.
const DESCRIPTOR_BYTES: u32 = 16;

/// How many descriptors are fetched in one go: two cache lines.
const WINDOW: u32 = 8;

/// A private copy of so many.
type Window = [[u8; DESCRIPTOR_BYTES as usize]; WINDOW as usize];

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
    window: Window,
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
    fn fetch(&mut self, index: u32) -> Result<(), AccessError> {
        let count = (self.len - index).min(WINDOW);
        let window = self.window.get_mut(..count as usize).unwrap_or_default();
        let address = self.address + u64::from(index) * u64::from(DESCRIPTOR_BYTES);
        self.memory.read_bytes(address, window.as_flattened_mut())?;
        (self.start, self.fetched) = (index, count);
        Ok(())
    }
}

/// Writes a buffer's descriptors to `table`, if the buffer can be added to the queue. Returns the part of the table
/// that they take up, and how many of the buffer's bytes are writable, saturated.
///
/// `encode` makes the two words of a descriptor: of a segment, of whether it is writable, and of the index of
/// the one after it.
pub(crate) fn fill_table<M: Memory>(
    ring: &Ring<M>,
    state: State,
    free: u16,
    table: Segment,
    readable: &[Segment],
    writable: &[Segment],
    encode: impl Fn(Segment, bool, Option<u16>) -> (u64, u64),
) -> Result<(Segment, u32), AddErrorKind> {
    // However many segments there are, they take up one descriptor of the queue.
    let size = ring.size;
    let count = fitting(readable, writable, state, size.get());
    let (readable_bytes, writable_bytes) = (Segment::total(readable), Segment::total(writable));
    let Some(count) = count.filter(|_| readable_bytes + writable_bytes <= MAX_CHAIN_BYTES) else {
        return Err(refusal(readable, writable, state, size, size.get()));
    };
    if !ring.indirect {
        return Err(AddErrorKind::IndirectNotNegotiated);
    }
    if free == 0 {
        return Err(AddErrorKind::Full { free, needed: 1 });
    }
    let len = u32::from(count) * DESCRIPTOR_BYTES;
    if len > table.len {
        return Err(AddErrorKind::TableTooSmall { capacity: table.len / DESCRIPTOR_BYTES, needed: count });
    }
    let unmapped = AddErrorKind::TableUnmapped(AccessError { address: table.address, len: len.into() });
    table.address.checked_add(len.into()).ok_or(unmapped)?;
    let mut segments = readable.iter().map(|s| (s, false)).chain(writable.iter().map(|s| (s, true)));
    let mut window = Window::default();
    let (mut address, mut index) = (table.address, 0);
    while index < count {
        let mut filled = 0;
        for (descriptor, (segment, writable)) in window.iter_mut().zip(&mut segments) {
            index += 1;
            filled += 1;
            let (low, high) = encode(*segment, writable, (index < count).then_some(index));
            let ([first, second], _) = descriptor.as_chunks_mut() else { continue };
            (*first, *second) = (low.to_le_bytes(), high.to_le_bytes());
        }
        let filled = window.get(..filled).unwrap_or_default().as_flattened();
        ring.memory.write_bytes(address, filled).map_err(AddErrorKind::TableUnmapped)?;
        address += filled.len() as u64;
    }
    Ok((Segment::new(table.address, len), saturate(writable_bytes)))
}
