//! Indirect tables: how a device end reads them, and how a driver end fills them.

use crate::admission::check_lent;
use crate::chain_bounds::{MAX_CHAIN_BYTES, saturate};
use crate::error::{AddErrorKind, Violation};
use crate::memory::{AccessError, Memory};
use crate::ring::{Ring, State};
use crate::segment::Segment;

/// The size of a descriptor in either format: `addr`, `len`, and two 16-bit fields.
const DESCRIPTOR_BYTES: u32 = 16;

/// The number of descriptors that are fetched at once: two cache lines.
const WINDOW: u32 = 8;

/// A private copy of `WINDOW` descriptors, each as two words of eight bytes.
type Window = [[[u8; 8]; 2]; WINDOW as usize];

/// A descriptor table in shared memory, of any alignment.
///
/// The table is fetched in windows of descriptors, and only the private copy is used. A table whose
/// links jump out of the window costs one fetch for each jump.
pub(crate) struct Table<'m, M> {
    memory: &'m M,
    address: u64,
    /// The number of descriptors, at least 1.
    len: u32,
    /// The index of the first descriptor in the window.
    start: u32,
    /// The number of descriptors in the window.
    fetched: u32,
    window: Window,
}

impl<'m, M: Memory> Table<'m, M> {
    /// Returns the table of `bytes` bytes at `address`.
    pub(crate) fn new(memory: &'m M, address: u64, bytes: u32) -> Result<Self, Violation> {
        if bytes == 0 || bytes % DESCRIPTOR_BYTES != 0 {
            return Err(Violation::IndirectLength { len: bytes });
        }
        if address.checked_add(u64::from(bytes) - 1).is_none() {
            return Err(Violation::AddressOverflow { address, len: bytes });
        }
        let len = bytes / DESCRIPTOR_BYTES;
        Ok(Self { memory, address, len, start: 0, fetched: 0, window: Default::default() })
    }

    /// Returns the number of descriptors.
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Returns a copy of descriptor `index`: its address, and its other eight bytes. `index` is
    /// less than [`len`](Self::len).
    pub(crate) fn get(&mut self, index: u32) -> Result<(u64, u64), Violation> {
        if index.wrapping_sub(self.start) >= self.fetched {
            self.fetch(index).map_err(Violation::IndirectUnmapped)?;
        }
        let [low, high] = self.window.get((index - self.start) as usize).copied().unwrap_or_default();
        Ok((u64::from_le_bytes(low), u64::from_le_bytes(high)))
    }

    /// Fills the window with descriptors, starting at `index`.
    #[cold]
    fn fetch(&mut self, index: u32) -> Result<(), AccessError> {
        let count = (self.len - index).min(WINDOW);
        let window = self.window.get_mut(..count as usize).unwrap_or_default();
        let address = self.address + u64::from(index) * u64::from(DESCRIPTOR_BYTES);
        self.memory.read_bytes(address, window.as_flattened_mut().as_flattened_mut())?;
        (self.start, self.fetched) = (index, count);
        Ok(())
    }
}

/// The number of descriptors in the longest table whose length fits into a descriptor.
pub(crate) const LONGEST_TABLE: u32 = u32::MAX / DESCRIPTOR_BYTES;

/// Room for a table, and how many descriptors the format allows in a table.
pub(crate) struct Room<W> {
    /// Where the device finds the table, and the bytes that the caller provides for the table.
    table: Segment,
    /// The longest table. In a split queue, a table is a chain, which is no longer than the queue
    /// (VIRTIO 1.4, 2.7.5.3.1 "Driver Requirements: Indirect Descriptors"). In a packed queue, only
    /// the device sets a limit (2.8.19, of the same title), which the caller observes.
    longest: u32,
    /// Writes bytes at an offset in the table.
    write: W,
}

/// Returns room at `table` in `memory`.
pub(crate) fn room_in_memory<M: Memory>(
    memory: &M,
    table: Segment,
    longest: u32,
) -> Room<impl FnMut(u64, &[u8]) -> Result<(), AccessError>> {
    // The end of the table is below 2^64: `check_table` has verified this before the first write.
    let write = move |offset: u64, bytes: &[u8]| memory.write_bytes(table.address + offset, bytes);
    Room { table, longest, write }
}

/// Returns room in `bytes`. The address of the table is not known yet, so it is 0.
pub(crate) fn room_in_bytes(
    bytes: &mut [u8],
    longest: u32,
) -> Room<impl FnMut(u64, &[u8]) -> Result<(), AccessError>> {
    // A table has no use for more bytes than fit into a descriptor's length.
    let table = Segment::new(0, saturate(bytes.len() as u64));
    let write = move |offset: u64, from: &[u8]| {
        let unmapped = AccessError { address: offset, len: from.len() as u64 };
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get_mut(offset..));
        let into = rest.and_then(|rest| rest.get_mut(..from.len())).ok_or(unmapped)?;
        into.copy_from_slice(from);
        Ok(())
    };
    Room { table, longest, write }
}

/// Maps a table in bytes of the caller for the device. Returns the table as the device knows it.
pub(crate) fn map_table<M: Memory>(
    memory: &M,
    bytes: &mut [u8],
    len: u32,
    map: impl FnOnce(&mut [u8]) -> u64,
) -> Result<Segment, AddErrorKind> {
    let address = map(bytes.get_mut(..len as usize).unwrap_or_default());
    let unmapped = AccessError { address, len: len.into() };
    address.checked_add(len.into()).ok_or(AddErrorKind::TableUnmapped(unmapped))?;
    let table = Segment::new(address, len);
    memory.lend_table(table).map_err(AddErrorKind::TableUnmapped)?;
    Ok(table)
}

/// Writes a buffer's descriptors to the table in `room`, if the buffer can be added to the queue.
/// Returns the part of the table that the descriptors take up, and the number of writable bytes,
/// saturated.
///
/// `encode` returns the two words of a descriptor, given its segment, whether the segment is
/// writable, and the index of the next descriptor.
pub(crate) fn fill_table<M: Memory>(
    ring: &Ring<M>,
    state: State,
    free: u16,
    mut room: Room<impl FnMut(u64, &[u8]) -> Result<(), AccessError>>,
    readable: &[Segment],
    writable: &[Segment],
    encode: impl Fn(Segment, bool, Option<u32>) -> (u64, u64),
) -> Result<(Segment, u32), AddErrorKind> {
    let (count, bytes) = check_buffer(ring, state, free, room.longest, readable, writable)?;
    let len = check_table(room.table, count)?;
    let mut segments = readable.iter().map(|s| (s, false)).chain(writable.iter().map(|s| (s, true)));
    let mut window = Window::default();
    let (mut offset, mut index) = (0, 0);
    while index < count {
        let mut filled = 0;
        for (descriptor, (segment, writable)) in window.iter_mut().zip(&mut segments) {
            index += 1;
            filled += 1;
            let (low, high) = encode(*segment, writable, (index < count).then_some(index));
            *descriptor = [low.to_le_bytes(), high.to_le_bytes()];
        }
        let filled = window.get(..filled).unwrap_or_default().as_flattened().as_flattened();
        (room.write)(offset, filled).map_err(AddErrorKind::TableUnmapped)?;
        offset += filled.len() as u64;
    }
    Ok((Segment::new(room.table.address, len), saturate(bytes)))
}

/// Returns the number of segments of a buffer that can be added through a table, and the number of
/// its writable bytes.
#[inline]
fn check_buffer<M: Memory>(
    ring: &Ring<M>,
    state: State,
    free: u16,
    longest: u32,
    readable: &[Segment],
    writable: &[Segment],
) -> Result<(u32, u64), AddErrorKind> {
    if !state.is_running() {
        return Err(AddErrorKind::NotRunning);
    }
    let segments = readable.len() + writable.len();
    let fits = u32::try_from(segments).ok().filter(|count| *count <= longest);
    let count = fits.ok_or(AddErrorKind::TooLong { segments, size: ring.size.get() })?;
    if count == 0 {
        return Err(AddErrorKind::Empty);
    }
    let [readable_bytes, writable_bytes] =
        [readable, writable].map(|segments| segments.iter().map(|segment| segment.weight()).sum::<u64>());
    if readable_bytes + writable_bytes >= MAX_CHAIN_BYTES {
        check_lengths(readable, writable)?;
    }
    check_lent(&ring.memory, readable, writable)?;
    if !ring.indirect {
        return Err(AddErrorKind::IndirectNotNegotiated);
    }
    // The segments together take up one descriptor of the queue.
    if free == 0 {
        return Err(AddErrorKind::Full { free, needed: 1 });
    }
    Ok((count, writable_bytes))
}

/// Fails if a segment is empty, or if the segments together are too long.
#[cold]
fn check_lengths(readable: &[Segment], writable: &[Segment]) -> Result<(), AddErrorKind> {
    let bytes = Segment::total(readable) + Segment::total(writable);
    if bytes > MAX_CHAIN_BYTES {
        Err(AddErrorKind::TooManyBytes { bytes })
    } else if readable.iter().chain(writable).any(|segment| segment.len == 0) {
        Err(AddErrorKind::EmptySegment)
    } else {
        Ok(())
    }
}

/// Returns the number of bytes that `count` descriptors take up in `table`, if they fit.
#[inline]
fn check_table(table: Segment, count: u32) -> Result<u32, AddErrorKind> {
    let capacity = table.len / DESCRIPTOR_BYTES;
    if count > capacity {
        return Err(AddErrorKind::TableTooSmall { capacity, needed: count });
    }
    let len = count * DESCRIPTOR_BYTES;
    let unmapped = AddErrorKind::TableUnmapped(AccessError { address: table.address, len: len.into() });
    table.address.checked_add(len.into()).ok_or(unmapped)?;
    Ok(len)
}
