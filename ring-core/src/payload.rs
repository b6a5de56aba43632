//! Reading and writing the contents of a chain's segments, wherever one segment ends and the next
//! one starts.
//!
//! A device must not rely on where one descriptor ends and the next one starts (VIRTIO 1.4, 2.7.4.1
//! "Device Requirements: Message Framing"). A [`Reader`] and a [`Writer`] hide these boundaries.
//! For example, a block device answers a read request:
//!
//! ```
//! use ring_core::memory::Memory;
//! use ring_core::payload::PayloadError;
//! use ring_core::{Chain, Reader, Writer};
//! use zerocopy::little_endian::{U32, U64}; // zerocopy 0.8
//!
//! #[derive(zerocopy::FromBytes, zerocopy::IntoBytes)]
//! #[repr(C)]
//! struct Header {
//!     kind: U32,
//!     reserved: U32,
//!     sector: U64,
//! }
//!
//! /// Returns the number of bytes written, for `DeviceQueue::complete`.
//! fn read(memory: &impl Memory, chain: &Chain<'_>, disk: &[u8]) -> Result<u32, PayloadError> {
//!     let Header { sector, .. } = Reader::new(memory, chain.readable()).read_value()?;
//!     let mut writer = Writer::new(memory, chain.writable());
//!     // The last byte is for the status, and all other bytes are for data.
//!     let count = usize::try_from(writer.remaining().saturating_sub(1)).unwrap_or(usize::MAX);
//!     let start = usize::try_from(sector.get()).ok().and_then(|sector| sector.checked_mul(512));
//!     let data = start.and_then(|start| disk.get(start..start.checked_add(count)?));
//!     match data {
//!         Some(data) => writer.write(data)?,
//!         // Bytes that are reported as written must have been written.
//!         None => (0..count).try_for_each(|_| writer.write(&[0]))?,
//!     }
//!     let status: u8 = if data.is_some() { 0 } else { 1 };
//!     writer.write_value(&status)?;
//!     Ok(writer.written())
//! }
//! #
//! # use ring_core::memory::{AlignedWord, RawMemory};
//! # use ring_core::{DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};
//! # let mut page = [AlignedWord::ZERO; 512];
//! # let memory = RawMemory::from_mut(&mut page, 0);
//! # let (setup, _) = Setup::contiguous(0, 4, Features::empty())?;
//! # let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4])?;
//! # let mut device = DeviceQueue::new(memory.clone(), &setup, [device::Slot::EMPTY; 4])?;
//! # memory.write_bytes(0x808, &1u64.to_le_bytes())?;
//! # let writable = [Segment::new(0x900, 300), Segment::new(0xb00, 213)];
//! # driver.add(&[Segment::new(0x800, 16)], &writable, ())?;
//! # let _ = driver.publish();
//! # let mut segments = [Segment::default(); 4];
//! # let chain = device.pop(&mut segments)?.unwrap();
//! # assert_eq!(read(&memory, &chain, &[7; 1024]), Ok(513));
//! # let mut answer = [1; 213];
//! # memory.read_bytes(0xb00, &mut answer)?;
//! # assert_eq!((answer[211], answer[212]), (7, 0));
//! # assert_eq!(read(&memory, &chain, &[7; 512]), Ok(513));
//! # memory.read_bytes(0xb00, &mut answer)?;
//! # assert_eq!((answer[211], answer[212]), (0, 1));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::memory::{AccessError, Memory};
use crate::segment::Segment;

/// Bytes of a chain could not be read or written. The position of the reader or writer is
/// unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PayloadError {
    /// The remaining segments have too few bytes.
    TooShort {
        /// The number of bytes requested.
        needed: u64,
        /// The number of bytes remaining.
        remaining: u64,
    },
    /// A segment is not in shared memory.
    Unmapped(AccessError),
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { needed, remaining } => {
                write!(f, "{needed} bytes are needed, but only {remaining} remain in the buffer")
            }
            Self::Unmapped(unmapped) => unmapped.fmt(f),
        }
    }
}

impl core::error::Error for PayloadError {}

/// The remaining part of a sequence of segments.
#[derive(Clone, Copy, Debug)]
struct Rest<'s> {
    segments: &'s [Segment],
    /// The number of bytes of the first segment that are consumed; less than the segment's length,
    /// or 0.
    consumed: u32,
    /// The number of bytes remaining.
    bytes: u64,
}

impl<'s> Rest<'s> {
    fn new(segments: &'s [Segment]) -> Self {
        Self { segments, consumed: 0, bytes: Segment::total(segments) }
    }

    /// Returns the rest after the first `count` bytes.
    fn after(self, count: u64) -> Result<Self, PayloadError> {
        let bytes = self
            .bytes
            .checked_sub(count)
            .ok_or(PayloadError::TooShort { needed: count, remaining: self.bytes })?;
        let mut left = count + u64::from(self.consumed);
        let mut segments = self.segments;
        while let [first, rest @ ..] = segments {
            let Some(beyond) = left.checked_sub(first.len.into()) else { break };
            (left, segments) = (beyond, rest);
        }
        // The loop leaves less than the length of the first segment, or nothing.
        Ok(Self { segments, consumed: u32::try_from(left).unwrap_or(0), bytes })
    }

    /// Returns the first `count` bytes as contiguous pieces. Empty pieces are omitted, because the
    /// address of an empty segment can have any value.
    fn pieces(self, count: u64) -> impl Iterator<Item = Segment> + use<'s> {
        let mut left = count;
        let mut consumed = self.consumed;
        let pieces = self.segments.iter().map_while(move |segment| {
            let len = u64::from(segment.len - consumed).min(left);
            let piece = Segment::new(
                segment.address.saturating_add(u64::from(consumed)),
                u32::try_from(len).unwrap_or(0),
            );
            (left, consumed) = (left - len, 0);
            (left > 0 || len > 0).then_some(piece)
        });
        pieces.filter(|piece| piece.len > 0)
    }
}

/// Reads segments from front to back: the readable segments of a chain, or at the driver end the
/// segments that the device has written.
#[derive(Debug)]
pub struct Reader<'a, M> {
    memory: &'a M,
    rest: Rest<'a>,
}

impl<'a, M: Memory> Reader<'a, M> {
    /// Returns a reader of `segments`, which lie in `memory`.
    pub fn new(memory: &'a M, segments: &'a [Segment]) -> Self {
        Self { memory, rest: Rest::new(segments) }
    }

    /// Returns the number of bytes remaining.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.rest.bytes
    }

    /// Fills `into` with the next bytes.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if there are fewer bytes, or if they are not in shared memory.
    pub fn read(&mut self, into: &mut [u8]) -> Result<(), PayloadError> {
        let rest = self.rest.after(into.len() as u64)?;
        let mut at = 0;
        for piece in self.rest.pieces(into.len() as u64) {
            let end = at + piece.len as usize;
            let part = into.get_mut(at..end).unwrap_or_default();
            self.memory.read_bytes(piece.address, part).map_err(PayloadError::Unmapped)?;
            at = end;
        }
        self.rest = rest;
        Ok(())
    }

    /// Reads a value with the layout that the standard gives it.
    ///
    /// # Errors
    ///
    /// The errors of [`read`](Self::read).
    pub fn read_value<T: FromBytes + IntoBytes>(&mut self) -> Result<T, PayloadError> {
        let mut value = T::new_zeroed();
        self.read(value.as_mut_bytes())?;
        Ok(value)
    }
}

/// Writes segments from front to back: the writable segments of a chain, or at the driver end the
/// segments that the device is to read.
#[derive(Debug)]
pub struct Writer<'a, M> {
    memory: &'a M,
    rest: Rest<'a>,
    written: u32,
}

impl<'a, M: Memory> Writer<'a, M> {
    /// Returns a writer of `segments`, which lie in `memory`.
    pub fn new(memory: &'a M, segments: &'a [Segment]) -> Self {
        Self { memory, rest: Rest::new(segments), written: 0 }
    }

    /// Returns the number of bytes that can still be written.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.rest.bytes
    }

    /// Returns the number of bytes written or skipped so far, for `complete`. Saturates at
    /// `u32::MAX`.
    #[must_use]
    pub const fn written(&self) -> u32 {
        self.written
    }

    /// Writes all bytes of `from`.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] if the segments are too short, or not in shared memory.
    pub fn write(&mut self, from: &[u8]) -> Result<(), PayloadError> {
        let rest = self.rest.after(from.len() as u64)?;
        let mut at = 0;
        for piece in self.rest.pieces(from.len() as u64) {
            let end = at + piece.len as usize;
            let part = from.get(at..end).unwrap_or_default();
            self.memory.write_bytes(piece.address, part).map_err(PayloadError::Unmapped)?;
            at = end;
        }
        self.advance(rest, from.len() as u64);
        Ok(())
    }

    /// Writes a value with the layout that the standard gives it.
    ///
    /// # Errors
    ///
    /// The errors of [`write`](Self::write).
    pub fn write_value<T: IntoBytes + Immutable>(&mut self, value: &T) -> Result<(), PayloadError> {
        self.write(value.as_bytes())
    }

    /// Skips the next `count` bytes, and counts them as written: the caller has written them by
    /// other means.
    ///
    /// # Errors
    ///
    /// [`PayloadError::TooShort`] if there are fewer bytes.
    pub fn skip(&mut self, count: u64) -> Result<(), PayloadError> {
        let rest = self.rest.after(count)?;
        self.advance(rest, count);
        Ok(())
    }

    fn advance(&mut self, rest: Rest<'a>, count: u64) {
        self.rest = rest;
        self.written = self.written.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{AlignedWord, RawMemory};

    /// Returns memory with "abcdefgh" and "ABCDEFGH", and a gap between them.
    fn letters(words: &mut [AlignedWord; 4]) -> RawMemory<'_> {
        let memory = RawMemory::from_mut(words, 0x100);
        memory.write_bytes(0x100, b"abcdefgh").unwrap();
        memory.write_bytes(0x110, b"ABCDEFGH").unwrap();
        memory
    }

    #[test]
    fn a_value_is_read_whole_wherever_the_segments_are_cut() {
        let mut words = [AlignedWord::ZERO; 4];
        let memory = letters(&mut words);
        for cut in 0..=8 {
            let segments = [
                Segment::new(0x100, cut),
                Segment::new(0x110, 0),
                Segment::new(0x100 + u64::from(cut), 8 - cut),
            ];
            let mut reader = Reader::new(&memory, &segments);
            assert_eq!(reader.read_value::<[u8; 3]>().as_ref(), Ok(b"abc"), "{cut}");
            assert_eq!(reader.read_value::<[u8; 5]>().as_ref(), Ok(b"defgh"), "{cut}");
            assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn reading_past_the_end_says_what_is_missing_and_consumes_nothing() {
        let mut words = [AlignedWord::ZERO; 4];
        let memory = letters(&mut words);
        let segments = [Segment::new(0x100, 2), Segment::new(0x110, 3)];
        let mut reader = Reader::new(&memory, &segments);
        assert_eq!(reader.read(&mut [0; 6]), Err(PayloadError::TooShort { needed: 6, remaining: 5 }));
        assert_eq!(reader.read_value::<[u8; 5]>().as_ref(), Ok(b"abABC"));
    }

    #[test]
    fn a_segment_outside_shared_memory_is_an_error() {
        let mut words = [AlignedWord::ZERO; 4];
        let memory = letters(&mut words);
        let segments = [Segment::new(0x11e, 4)];
        let unmapped = PayloadError::Unmapped(AccessError { address: 0x11e, len: 4 });
        assert_eq!(Reader::new(&memory, &segments).read(&mut [0; 4]), Err(unmapped));
        assert_eq!(Writer::new(&memory, &segments).write(&[0; 4]), Err(unmapped));
    }

    #[test]
    fn a_writer_skips_and_counts() {
        let mut words = [AlignedWord::ZERO; 4];
        let memory = letters(&mut words);
        let segments = [Segment::new(0x100, 3), Segment::new(0x110, 8)];
        let mut writer = Writer::new(&memory, &segments);
        writer.skip(2).unwrap();
        writer.write(b"wxyz").unwrap();
        assert_eq!((writer.written(), writer.remaining()), (6, 5));
        assert_eq!(writer.skip(6), Err(PayloadError::TooShort { needed: 6, remaining: 5 }));
        let mut all = [0; 24];
        memory.read_bytes(0x100, &mut all).unwrap();
        assert_eq!(&all, b"abwdefgh\0\0\0\0\0\0\0\0xyzDEFGH");
    }
}
