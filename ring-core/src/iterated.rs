//! The driver end of a queue of either format: buffers whose segments come from iterators.

use crate::driver::{DriverQueue, Slots, either};
use crate::error::AddError;
use crate::memory::Memory;
use crate::segment::Segment;

impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Stages a buffer as [`add`](Self::add) does, with segments that come from iterators. Returns
    /// the buffer's id.
    ///
    /// This call is for drivers that have lists of memory in a form of their own, such as
    /// scatter-gather lists. These drivers need not build a slice of segments. Each iterator is run
    /// once, so it may map its memory for the device on the way. [`add`](Self::add) is faster.
    ///
    /// ```
    /// # use ring_core::memory::{AlignedWord, RawMemory};
    /// # use ring_core::{DriverQueue, Features, Segment, Setup, driver};
    /// # let mut page = [AlignedWord::ZERO; 512];
    /// # let memory = RawMemory::from_mut(&mut page, 0x1000);
    /// # let (setup, _) = Setup::contiguous(0x1000, 4, Features::RING_PACKED)?;
    /// # let mut queue = DriverQueue::new(memory, &setup, [driver::Slot::EMPTY; 4])?;
    /// struct Fragment {
    ///     page: u64,
    ///     offset: u16,
    ///     len: u16,
    /// }
    ///
    /// let header = Segment::new(0x1800, 12);
    /// let fragments = [
    ///     Fragment { page: 1, offset: 0x900, len: 90 },
    ///     Fragment { page: 1, offset: 0xa00, len: 40 },
    /// ];
    /// let segments = fragments
    ///     .iter()
    ///     .map(|f| Segment::new(f.page * 0x1000 + u64::from(f.offset), f.len.into()));
    /// queue.add_iter([header].into_iter().chain(segments), [], "a packet")?;
    /// # assert_eq!(queue.free(), 1);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`add`](Self::add). The iterators are run to their ends even if the buffer is
    /// refused. If an iterator panics, the queue is unchanged.
    #[doc(alias("virtqueue_add_sgs", "virtqueue_add_outbuf"))]
    pub fn add_iter(
        &mut self,
        readable: impl IntoIterator<Item = Segment>,
        writable: impl IntoIterator<Item = Segment>,
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        either!(self, queue => queue.add_iter(readable, writable, cookie))
    }
}
