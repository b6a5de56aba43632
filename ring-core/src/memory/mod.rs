//! The one seam to memory that both sides of a queue share.
//!
//! Every access that ring-core makes to shared memory, and every fence, goes through the two traits
//! of this module. [`Memory`] resolves addresses, once, when a queue is set up; what it returns is an
//! [`Area`], and the rings only ever touch areas. Nothing else in the crate knows about pointers.
//!
//! # Roles
//!
//! An [`Area`] has two kinds of access, and the kind says what the access is *for*:
//!
//! - [`read`](Area::read) and [`write`](Area::write) are for fields that some other access publishes:
//!   descriptor bodies and ring slots. They carry no ordering, and between cooperating sides they never
//!   race.
//! - [`load`](Area::load) and [`store`](Area::store) are for the publication points: the indices of a
//!   split queue, the flags of a packed descriptor, the event suppression fields. Both sides touch
//!   them at any time.
//!
//! The distinction costs nothing on real memory, where both are plain moves. It is there so that a
//! model checker can hold the rings to it: with `read` and `write` on cells and `load` and `store` on
//! atomics, a missing barrier shows up as a data race.
//!
//! # What an implementation guarantees
//!
//! - **A peer that breaks the rules is not undefined behaviour.** The other side may write any byte at
//!   any time. Every access reads or writes the whole word once, and returns some value.
//!   (Rust's memory model says nothing of a peer outside the program. Where both sides are in one program,
//!   as in tests, it also does not define races between accesses of different widths to the same bytes; the
//!   hardware does, and well-behaved ends never have any.)
//! - **Accesses outside an area are harmless.** A read gives zero, a write does nothing. ring-core never
//!   makes such an access; the rule lets an implementation be sound without a panic.
//! - **Words are little-endian in memory** (VIRTIO 1.4, 1.4 "Structure Specifications") and native in the
//!   arguments and results.
//! - **A 64-bit word is published by its upper half.** Where the target has no 64-bit atomics, a `store`
//!   may write the lower half before it publishes the upper one, and a `load` may fetch the lower half
//!   after the upper one. Packed descriptors are laid out so that this suffices.
//!
//! # Memory in pieces
//!
//! A queue knows one [`Memory`], with its three areas and its indirect tables. A few lines make one of several DMA
//! allocations:
//!
//! ```
//! use ring_core::memory::{Memory, RawArea, RawMemory, AccessError};
//!
//! struct Windows<'m, const N: usize>([RawMemory<'m>; N]);
//!
//! impl<'m, const N: usize> Windows<'m, N> {
//!     /// What the first window says that has all the bytes.
//!     fn ask<T>(
//!         &self,
//!         address: u64,
//!         len: usize,
//!         of: impl FnMut(&RawMemory<'m>) -> Result<T, AccessError>,
//!     ) -> Result<T, AccessError> {
//!         self.0.iter().map(of).find_map(Result::ok).ok_or(AccessError { address, len: len as u64 })
//!     }
//! }
//!
//! impl<'m, const N: usize> Memory for Windows<'m, N> {
//!     type Area = RawArea<'m>;
//!
//!     fn area(&self, address: u64, len: usize) -> Result<RawArea<'m>, AccessError> {
//!         self.ask(address, len, |window| window.area(address, len))
//!     }
//!
//!     fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
//!         self.ask(address, into.len(), |window| window.read_bytes(address, into))
//!     }
//!
//!     fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
//!         self.ask(address, from.len(), |window| window.write_bytes(address, from))
//!     }
//!
//!     fn fence(&self) {
//!         core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
//!     }
//! }
//! #
//! # use ring_core::{Areas, DriverQueue, Features, Segment, Setup, driver};
//! # let mut pages = [[0u64; 64]; 3];
//! # let [first, second, third] = &mut pages;
//! # let windows = Windows([
//! #     RawMemory::from_mut(first, 0x1000),
//! #     RawMemory::from_mut(second, 0x8000),
//! #     RawMemory::from_mut(third, 0x4000),
//! # ]);
//! # let setup = Setup::new(4, Features::RING_PACKED | Features::INDIRECT_DESC, Areas { descriptor: 0x1000, driver: 0x8000, device: 0x8004 });
//! # let mut queue = DriverQueue::new(windows, &setup, [driver::Slot::EMPTY; 4])?;
//! # queue.add_indirect(Segment::new(0x4010, 32), &[Segment::new(0, 1)], &[Segment::new(2, 1)], ())?;
//! # assert!(queue.publish().is_needed());
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

mod barriers;
mod copy;
mod raw;
#[cfg(feature = "vm-memory")]
mod vm;
mod word;

#[cfg(any(
    target_arch = "x86",
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
))]
pub use barriers::Platform;
pub use barriers::{Barriers, Smp};
pub use raw::{RawArea, RawMemory};
#[cfg(feature = "vm-memory")]
pub use vm::{VmArea, VmMemory};
pub use word::Word;

/// The ordering of a [`load`](Area::load).
///
/// Exhaustive, because each [`Area`] has to implement every ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// No ordering of its own: a fence or another load precedes it and orders enough, or nothing depends on it.
    Relaxed,
    /// What follows sees everything that the other side did before the store that this load read.
    Acquire,
}

/// The ordering of a [`store`](Area::store).
///
/// There is no sequentially consistent variant, here or in [`Load`]: where a store must come before a
/// load, the rings say [`Memory::fence`].
///
/// Exhaustive, because each [`Area`] has to implement every ordering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// No ordering of its own.
    Relaxed,
    /// Whoever reads this store with [`Load::Acquire`] sees everything that was done before it.
    Release,
}

/// An address range is not, or not wholly, memory that the two sides share.
///
/// Exhaustive, because each [`Memory`] makes these errors; a range is all that they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccessError {
    /// The first address of the range.
    pub address: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl core::fmt::Display for AccessError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { address, len } = self;
        write!(f, "{len} bytes at {address:#x} are not shared memory")
    }
}

impl core::error::Error for AccessError {}

/// Shared memory, seen from one side: it resolves the addresses that the two sides exchange.
///
/// Addresses are those of the standard ("physical" addresses, from the driver's point of view), whatever
/// they mean on the transport.
pub trait Memory {
    /// A resolved range of this memory.
    type Area: Area;

    /// Resolves `len` bytes at `address` for the lifetime of a queue.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if any byte of the range is not shared memory, or if the range cannot be reached as
    /// one piece that is aligned as its address is.
    fn area(&self, address: u64, len: usize) -> Result<Self::Area, AccessError>;

    /// Copies `into.len()` bytes from `address`, whatever its alignment.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if any byte of the range is not shared memory; `into` is then unspecified.
    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError>;

    /// Copies `from` to `address`, whatever its alignment.
    ///
    /// # Errors
    ///
    /// [`AccessError`] if any byte of the range is not shared memory; nothing or a part has then been
    /// written.
    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError>;

    /// Orders every store before this point before every load after it, on both sides' view.
    ///
    /// The rings need it in exactly two places on each end, both explained in [`notify`](crate::notify).
    fn fence(&self);
}

/// A resolved, bounded range of shared memory. Offsets are in bytes from its start.
///
/// See the [module](self) for the difference between `read`/`write` and `load`/`store`.
pub trait Area {
    /// Reads a field that some [`load`](Self::load) has found to be published.
    fn read<W: Word>(&self, offset: usize) -> W;

    /// Writes a field that some [`store`](Self::store) will publish.
    fn write<W: Word>(&self, offset: usize, value: W);

    /// [`read`](Self::read)s two adjacent fields, as descriptors and used entries have them.
    #[inline]
    fn read_pair<W: Word>(&self, offset: usize) -> (W, W) {
        (self.read(offset), self.read(offset + size_of::<W>()))
    }

    /// [`write`](Self::write)s two adjacent fields, as descriptors and used entries have them.
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
