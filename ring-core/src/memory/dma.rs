//! Memory for a device that accesses memory by address, wherever the addresses lead.

// UNSAFETY: the constructor asks for a promise. It is the only unsafe function here.
#![expect(unsafe_code)]

use crate::segment::Segment;

use super::{AccessError, Memory, Table};

/// A memory whose driver may lend the device any memory, not only this memory.
///
/// By itself, a memory lends a device only what is in the memory: a driver end refuses segments
/// that lie elsewhere. A driver of real hardware also lends buffers that come from elsewhere, such
/// as pages of its callers, whose addresses no window contains. `Dma` accepts these segments, and
/// its creator promises what a check cannot find out.
///
/// ```
/// use ring_core::memory::{AlignedWord, Dma, RawMemory};
/// use ring_core::error::AddErrorKind;
/// use ring_core::{DriverQueue, Features, Segment, Setup, driver};
///
/// # let mut page = [AlignedWord::ZERO; 512];
/// # let window = RawMemory::from_mut(&mut page, 0x1000);
/// let (setup, _) = Setup::contiguous(0x1000, 4, Features::empty())?;
/// let elsewhere = Segment::new(0x9000_0000, 512);
///
/// let mut queue = DriverQueue::new(window.clone(), &setup, [driver::Slot::EMPTY; 4])?;
/// let refused = queue.add(&[], &[elsewhere], ()).unwrap_err();
/// assert!(matches!(refused.kind, AddErrorKind::SegmentUnmapped(_)));
///
/// // The 512 bytes at 0x9000_0000 are a page of this driver, which leaves them alone until the
/// // device has returned them: this call is sound.
/// let anywhere = unsafe { Dma::new(window) };
/// let mut queue = DriverQueue::new(anywhere, &setup, [driver::Slot::EMPTY; 4])?;
/// queue.add(&[], &[elsewhere], ())?;
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dma<M> {
    memory: M,
}

impl<M> Dma<M> {
    /// Returns `memory` without the limit on what is lent to the device.
    ///
    /// # Safety
    ///
    /// The device may access each segment that is passed to a driver queue in the returned memory,
    /// or in a clone of it, as the segment's kind (readable or writable) says. The device may do so
    /// from [`publish`](crate::DriverQueue::publish) until the buffer's cookie returns or the
    /// device is stopped. Until then, this program does not rely on the contents of writable
    /// segments, and does not write to an indirect table. A table that is passed as bytes is, for
    /// the device, at the address to which the bytes are mapped. The queue's slots are of a type
    /// whose `AsRef` and `AsMut` always return the same slots, as those of arrays, slices, `Box`
    /// and `Vec` do.
    ///
    /// The calls that pass segments are safe, so a program that cannot review all of them keeps the
    /// queue behind a type that makes the segments itself.
    #[must_use]
    pub const unsafe fn new(memory: M) -> Self {
        Self { memory }
    }
}

impl<M: Memory> Memory for Dma<M> {
    type Area = M::Area;

    fn area(&self, address: u64, len: usize) -> Result<M::Area, AccessError> {
        self.memory.area(address, len)
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.memory.read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.memory.write_bytes(address, from)
    }

    #[inline]
    fn table(&self, table: Segment) -> Option<impl Table> {
        self.memory.table(table)
    }

    #[inline]
    fn lend(&self, _: Segment) -> Result<(), AccessError> {
        // The creator vouched for all segments.
        Ok(())
    }

    fn lend_table(&self, _: Segment) -> Result<(), AccessError> {
        // The creator vouched for all tables.
        Ok(())
    }

    #[inline]
    fn fence(&self) {
        self.memory.fence();
    }
}
