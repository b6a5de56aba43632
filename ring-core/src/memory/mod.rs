//! Access to the memory that both sides of a queue share.
//!
//! Every access of ring-core to shared memory, and every fence, goes through the traits of this
//! module. [`Memory`] resolves addresses once, when a queue is set up. It returns [`Area`]s, and
//! the rings only access areas. A [burst](crate::burst) accesses an area through [`Rings`] and
//! [`Walk`]s. A burst at the device end also resolves the [`Table`] of each indirect chain. Nothing
//! else in the crate handles pointers.
//!
//! # Kinds of access
//!
//! An [`Area`] has two kinds of access, which state the *purpose* of the access:
//!
//! - [`read`](Area::read) and [`write`](Area::write) are for fields that another access publishes:
//!   descriptor bodies and ring entries. These accesses have no ordering, and never race as long as
//!   both sides follow the rules.
//! - [`load`](Area::load) and [`store`](Area::store) are for publication points: the indices of a
//!   split queue, the flags of a packed descriptor, and the event suppression fields. Both sides
//!   access these fields at any time.
//!
//! On real memory, both kinds are plain moves, so the distinction costs nothing. It lets a model
//! checker test the rings: with `read` and `write` on cells, and `load` and `store` on atomics, a
//! missing barrier shows up as a data race.
//!
//! # What an implementation guarantees
//!
//! - **A peer that breaks the rules does not cause undefined behaviour.** The other side may write
//!   any byte at any time. Every access reads or writes the whole word once, and returns some
//!   value. (Rust's memory model does not cover a peer outside the program. Where both sides are in
//!   one program, as in tests, it also does not define races between accesses of different widths
//!   to the same bytes. The hardware does, and ends that follow the rules never have such races.)
//! - **Accesses outside an area are harmless.** A read returns zero, and a write has no effect.
//!   ring-core never makes such an access; the rule lets an implementation be sound without a
//!   panic.
//! - **Words are little-endian in memory** (VIRTIO 1.4, 1.4 "Structure Specifications"), and native
//!   in arguments and results.
//! - **A 64-bit word is published by its upper half.** On a target without 64-bit atomics, a
//!   `store` may write the lower half before it publishes the upper half, and a `load` may fetch
//!   the lower half after the upper half. The layout of packed descriptors makes this sufficient.
//!
//! # Which promise covers what
//!
//! - The areas and tables of a queue, as this program accesses them: the caller of
//!   [`RawMemory::new`], the borrow of [`RawMemory::from_mut`], or the mapping that a `VmMemory`
//!   holds.
//! - The segments of buffers: no promise is needed, because a driver end calls
//!   [`lend`](Memory::lend). `lend` accepts only segments in the memory, unless the memory knows
//!   that the device is confined.
//! - The segments of buffers in [`Dma`], which accepts all segments, and indirect tables outside
//!   the memory, which the other memories of this crate refuse: the caller of [`Dma::new`].
//! - The memory of buffers in flight, while the device has them: the cookie. A queue that is
//!   dropped leaks the cookies in flight.
//!
//! # Memory in several parts
//!
//! A queue uses one [`Memory`], which contains its three areas and its indirect tables.
//! [`Windows`] combines several DMA allocations into one `Memory`.

mod aligned_word;
mod barriers;
mod copy;
mod dma;
mod raw;
mod raw_rings;
mod raw_table;
mod raw_walk;
mod rings;
mod table;
#[cfg(feature = "vm-memory")]
mod vm;
mod walk;
mod windows;
mod word;

pub use aligned_word::AlignedWord;
pub use barriers::{Barriers, NegotiatedBarriers, Platform, Smp};
pub use dma::Dma;
pub use raw::{RawArea, RawMemory};
pub use raw_rings::RawRings;
pub use raw_table::RawTable;
pub use raw_walk::RawWalk;
pub use rings::{AreaRings, Rings};
pub use table::{AreaTable, Table};
#[cfg(feature = "vm-memory")]
pub use vm::{VmArea, VmMemory};
pub use walk::{AreaWalk, Walk};
pub use windows::Windows;
pub use word::Word;

use crate::segment::Segment;

/// The ordering of a [`load`](Area::load).
///
/// Exhaustive, because each [`Area`] has to implement every ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// No ordering: a fence or another load comes before and orders enough, or nothing depends on
    /// the load.
    Relaxed,
    /// Everything after the load sees all that the other side did before the store that the load
    /// read.
    Acquire,
}

/// The ordering of a [`store`](Area::store).
///
/// There is no sequentially consistent variant, here or in [`Load`]. Where a store must come before
/// a load, the rings call [`Memory::fence`].
///
/// Exhaustive, because each [`Area`] has to implement every ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// No ordering.
    Relaxed,
    /// A [`Load::Acquire`] that reads this store sees everything done before the store.
    Release,
}

/// An address range is not, or not completely, memory that the two sides share.
///
/// Exhaustive, because each [`Memory`] makes these errors, which consist of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError {
    /// The first address of the range.
    pub address: u64,
    /// The length of the range in bytes.
    pub len: u64,
}

impl core::fmt::Display for AccessError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { address, len } = self;
        write!(f, "{len} bytes at {address:#x} are not shared memory")
    }
}

impl core::error::Error for AccessError {}

/// Shared memory, as seen from one side. Resolves the addresses that the two sides exchange.
///
/// These addresses are the "physical" addresses of the standard, as the driver sees them. The
/// transport defines their meaning.
pub trait Memory {
    /// A resolved range of this memory.
    type Area: Area;

    /// Resolves `len` bytes at `address` for the lifetime of a queue.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if any byte of the range is not shared memory, if the range is not mapped
    /// contiguously, or if it is not mapped with the alignment of its address.
    fn area(&self, address: u64, len: usize) -> Result<Self::Area, AccessError>;

    /// Copies `into.len()` bytes from `address`, which may have any alignment.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if any byte of the range is not shared memory; the contents of `into` are
    /// then unspecified.
    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError>;

    /// Copies `from` to `address`, which may have any alignment.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if any byte of the range is not shared memory; nothing or a part has then
    /// been written.
    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError>;

    /// Resolves an indirect table, if its descriptors can be read in place: the table is aligned
    /// to 8 bytes and consists of whole descriptors.
    ///
    /// A burst at the device end then reads the descriptors in place. After `None`, which the
    /// default implementation returns, the burst copies the table by
    /// [`read_bytes`](Self::read_bytes), as the plain calls do.
    #[inline]
    fn table(&self, table: Segment) -> Option<impl Table> {
        let _ = table;
        None::<RawTable<'_>>
    }

    /// Fails if `segment` must not be lent to the device. A driver end calls `lend` for each
    /// segment that is added.
    ///
    /// A memory whose device could otherwise access memory that was not lent to it, because the
    /// device accesses memory by address, accepts only segments in this memory. A memory whose
    /// device is confined by other means may accept every segment.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if any byte of the segment is not memory for the device.
    fn lend(&self, segment: Segment) -> Result<(), AccessError>;

    /// Fails if an indirect table in bytes of the caller, outside this memory, must not be lent to
    /// the device. [`add_indirect_in`] calls this method.
    ///
    /// A device trusts the addresses in a table, and safe code can change the caller's bytes after
    /// the call. So by default no table is lent. A memory accepts tables if the device is confined
    /// by other means, or if its creator has promised that tables stay unchanged.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if the table is not memory for the device.
    ///
    /// [`add_indirect_in`]: crate::DriverQueue::add_indirect_in
    fn lend_table(&self, table: Segment) -> Result<(), AccessError> {
        Err(AccessError { address: table.address, len: table.len.into() })
    }

    /// Orders every store before this point before every load after it, as seen by both sides.
    ///
    /// The rings need a fence in two places at each end, which [`notify`](crate::notify) explains.
    fn fence(&self);
}

/// A resolved, bounded range of shared memory. Offsets are in bytes from the start of the range.
///
/// The [module](self) explains the difference between `read`/`write` and `load`/`store`.
pub trait Area: Clone {
    /// The rings of a split queue, whose bounds are proved. [`AreaRings`] fits every area.
    type Rings: Rings;

    /// A position in the ring of a packed queue, whose bounds are proved. [`AreaWalk`] fits every
    /// area.
    type Walk: Walk;

    /// Returns the rings of a split queue of `size` descriptors, a power of two. The areas contain
    /// the descriptors, the available ring and the used ring, in this order.
    fn rings(areas: [&Self; 3], size: u16) -> Self::Rings;

    /// Returns the descriptor `slot` of a packed queue of `size` descriptors, in the area of the
    /// descriptors.
    fn walk(&self, size: u16, slot: u16) -> Self::Walk;

    /// Reads a field that a [`load`](Self::load) has found to be published.
    fn read<W: Word>(&self, offset: usize) -> W;

    /// Writes a field that a [`store`](Self::store) will publish.
    fn write<W: Word>(&self, offset: usize, value: W);

    /// [`read`](Self::read)s two adjacent fields, such as those of descriptors and used entries.
    #[inline]
    fn read_pair<W: Word>(&self, offset: usize) -> (W, W) {
        (self.read(offset), self.read(offset + size_of::<W>()))
    }

    /// [`write`](Self::write)s two adjacent fields, such as those of descriptors and used entries.
    #[inline]
    fn write_pair<W: Word>(&self, offset: usize, (first, second): (W, W)) {
        self.write(offset, first);
        self.write(offset + size_of::<W>(), second);
    }

    /// Loads a publication point.
    fn load<W: Word>(&self, offset: usize, order: Load) -> W;

    /// Stores a publication point.
    fn store<W: Word>(&self, offset: usize, value: W, order: Store);
}
