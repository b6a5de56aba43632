//! The driver end of a queue of either format: buffers in indirect tables.

use crate::driver::{DriverQueue, Slots, either};
use crate::error::AddError;
use crate::memory::Memory;
use crate::segment::Segment;

impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Stages a buffer through an indirect table, so that the buffer takes up one descriptor of the
    /// queue. Returns the buffer's id, as [`add`](Self::add) does.
    ///
    /// In a split queue, the buffer has at most as many segments as the queue has descriptors. In a
    /// packed queue, only the device limits the number of segments (VIRTIO 1.4, 2.8.19 "Driver
    /// Requirements: Indirect Descriptors"); the caller observes the limit that the device type or
    /// the transport gives, such as `seg_max` of a block device.
    ///
    /// `table` is memory for the table, in the memory that the queue was set up with: 16 bytes for
    /// each segment, with any alignment. Like the segments, the table belongs to the device until
    /// the cookie is returned.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer was refused, and returns the cookie. After an error the
    /// queue is unchanged; `table` may have been written.
    pub fn add_indirect(
        &mut self,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        either!(self, queue => queue.add_indirect(table, readable, writable, cookie))
    }

    /// Stages a buffer through an indirect table in bytes of the caller, which may be outside the
    /// queue's memory. Returns the buffer's id, as [`add`](Self::add) does.
    ///
    /// `table` has at least 16 bytes for each segment. The call fills `table`, then calls `map`
    /// with the bytes that were filled. `map` makes these bytes visible to the device and returns
    /// the address at which the device finds them. (A driver with bounce buffers copies the table
    /// to a bounce buffer.) The device may read the table until the buffer's cookie is returned, so
    /// the table must not change before. The limits on the number of segments are those of
    /// [`add_indirect`](Self::add_indirect).
    ///
    /// The call succeeds only in a memory that lends tables ([`Memory::lend_table`]), such as
    /// [`Dma`](crate::memory::Dma):
    ///
    /// ```
    /// use ring_core::memory::{AlignedWord, Dma, RawMemory};
    /// use ring_core::{DriverQueue, Features, Segment, Setup, driver};
    ///
    /// # let mut page = [AlignedWord::ZERO; 512];
    /// # let window = RawMemory::from_mut(&mut page, 0x1000);
    /// # let physical = |bytes: &mut [u8]| bytes.as_ptr() as u64;
    /// // This driver leaves tables and segments alone until the device has returned them.
    /// let memory = unsafe { Dma::new(window) };
    /// let (setup, _) = Setup::contiguous(0x1000, 4, Features::INDIRECT_DESC)?;
    /// let mut queue = DriverQueue::new(memory, &setup, [driver::Slot::EMPTY; 4])?;
    ///
    /// // A table comes from the heap, and is kept under its buffer's id.
    /// let mut tables = [const { None }; 4];
    /// let mut table = vec![0; 2 * 16].into_boxed_slice();
    /// let (request, response) = (Segment::new(0x4100_0000, 16), Segment::new(0x4200_0000, 512));
    /// let id = queue.add_indirect_in(&mut table, physical, &[request], &[response], ())?;
    /// tables[usize::from(id)] = Some(table);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`add_indirect`](Self::add_indirect);
    /// [`TableUnmapped`](crate::error::AddErrorKind::TableUnmapped) if the memory does not lend the
    /// table. Only this error can occur after `map` has been called.
    pub fn add_indirect_in(
        &mut self,
        table: &mut [u8],
        map: impl FnOnce(&mut [u8]) -> u64,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        either!(self, queue => queue.add_indirect_in(table, map, readable, writable, cookie))
    }
}
