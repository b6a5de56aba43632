//! What can go wrong, by whose fault.
//!
//! - A [`Violation`] is the other side's fault. It **latches**: the queue reports it once and is idle
//!   from then on, until it is reset. The numbers in it are what the other side wrote. A device can ask for the
//!   reset with `DEVICE_NEEDS_RESET` (VIRTIO 1.4, 2.1 "Device Status Field").
//! - A [`SetupError`] is the fault of whoever configured the queue; in a device that is the driver, too.
//!   There is no queue then.
//! - [`AddError`], [`CompleteError`] and [`PopError`] are the caller's to handle. They return whatever was
//!   handed in and still means something, so nothing is lost.
//!
//! Nothing in ring-core panics.

use core::error::Error;
use core::fmt;

use crate::chain::Token;
use crate::index::BadQueueSize;
use crate::memory::Unmapped;
use crate::recovery::Taken;

/// The other side broke a rule of the standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The driver made more buffers available than the queue has descriptors: the index in the driver
    /// area ran ahead, or back (VIRTIO 1.4, 2.7.6.1 "Driver Requirements: The Virtqueue Available Ring").
    AvailableIndex {
        /// What the driver area says.
        index: u16,
        /// The next one that the device would have taken.
        next: u16,
        /// The queue's size.
        size: u16,
    },
    /// An index into the descriptor area or into an indirect table lies outside it.
    DescriptorIndex {
        /// The index.
        index: u16,
        /// How many descriptors there are.
        size: u32,
    },
    /// A chain has more descriptors than the ring or the table that it is in: it loops.
    ChainLoop {
        /// How many descriptors there are.
        size: u32,
    },
    /// A list in a packed ring goes on with a descriptor that was not made available (VIRTIO 1.4, 2.8.17
    /// "Driver Requirements: Scatter-Gather Support").
    NotAvailable {
        /// The descriptor's slot.
        slot: u16,
    },
    /// A readable segment follows a writable one (VIRTIO 1.4, 2.7.4.2 "Driver Requirements: Message Framing"
    /// and 2.8.17 "Driver Requirements: Scatter-Gather Support").
    ReadableAfterWritable {
        /// The segment's position in the chain.
        position: usize,
    },
    /// A chain is longer than 2^32 bytes.
    ChainBytes {
        /// The bytes of what was read of it.
        bytes: u64,
    },
    /// A segment runs past the end of the address space.
    AddressOverflow {
        /// Its address.
        address: u64,
        /// Its length.
        len: u32,
    },
    /// A chain was made available whose head (split) or id (packed) is still in flight.
    AlreadyInFlight {
        /// The head or id.
        id: u16,
    },
    /// More descriptors are in flight than the queue has.
    TooManyInFlight {
        /// Descriptors in flight, with the new chain.
        count: u32,
        /// The queue's size.
        size: u16,
    },
    /// A buffer id lies outside the queue's size.
    BufferId {
        /// The id.
        id: u32,
        /// The queue's size.
        size: u16,
    },
    /// An indirect table, although the feature was not negotiated.
    IndirectNotNegotiated,
    /// A descriptor refers to a table and continues the chain at once (VIRTIO 1.4, 2.7.5.3.1 and 2.8.19, both
    /// "Driver Requirements: Indirect Descriptors").
    IndirectChained,
    /// A descriptor in an indirect table refers to another one.
    IndirectNested,
    /// The length of an indirect table is 0 or not a multiple of a descriptor's 16 bytes.
    IndirectLength {
        /// The length in bytes.
        len: u32,
    },
    /// An indirect table is not in shared memory.
    IndirectUnmapped(Unmapped),
    /// The device used more buffers than were in flight: the index in the device area ran ahead.
    UsedIndex {
        /// What the device area says.
        index: u16,
        /// The next one that the driver would have taken.
        next: u16,
        /// Buffers in flight.
        in_flight: u16,
    },
    /// The device used a buffer that is not in flight.
    NotInFlight {
        /// The id that it wrote.
        id: u32,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::AvailableIndex { index, next, size } => {
                write!(f, "available index {index} is more than {size} ahead of {next}")
            }
            Self::DescriptorIndex { index, size } => {
                write!(f, "descriptor {index} does not exist among {size}")
            }
            Self::ChainLoop { size } => write!(f, "a chain has more than {size} descriptors"),
            Self::NotAvailable { slot } => {
                write!(f, "a list goes on in slot {slot}, which is not available")
            }
            Self::ReadableAfterWritable { position } => {
                write!(f, "segment {position} of a chain is readable, but follows a writable one")
            }
            Self::ChainBytes { bytes } => write!(f, "a chain has {bytes} bytes, over 2^32"),
            Self::AddressOverflow { address, len } => {
                write!(f, "{len} bytes at {address:#x} run past the last address")
            }
            Self::AlreadyInFlight { id } => write!(f, "buffer {id} was made available twice"),
            Self::TooManyInFlight { count, size } => {
                write!(f, "{count} descriptors are in flight in a queue of {size}")
            }
            Self::BufferId { id, size } => write!(f, "buffer id {id} in a queue of {size}"),
            Self::IndirectNotNegotiated => {
                f.write_str("an indirect descriptor, but the feature was not negotiated")
            }
            Self::IndirectChained => {
                f.write_str("a descriptor refers to an indirect table and is chained besides")
            }
            Self::IndirectNested => f.write_str("an indirect table inside an indirect table"),
            Self::IndirectLength { len } => {
                write!(f, "an indirect table of {len} bytes is not a whole number of descriptors")
            }
            Self::IndirectUnmapped(unmapped) => write!(f, "an indirect table: {unmapped}"),
            Self::UsedIndex { index, next, in_flight } => {
                write!(f, "used index {index} is more than the {in_flight} in flight ahead of {next}")
            }
            Self::NotInFlight { id } => write!(f, "used buffer {id} is not in flight"),
        }
    }
}

impl Error for Violation {}

/// The three areas of a queue, as VIRTIO 1.4, 2.6 "Virtqueues" names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaName {
    /// The descriptors.
    Descriptor,
    /// What the driver writes besides.
    Driver,
    /// What the device writes besides.
    Device,
}

impl fmt::Display for AreaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Descriptor => "descriptor area",
            Self::Driver => "driver area",
            Self::Device => "device area",
        })
    }
}

/// A queue cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// The size is not one that the format allows.
    Size(BadQueueSize),
    /// The slots that were lent are fewer than the queue has descriptors.
    TooFewSlots {
        /// Slots lent.
        slots: usize,
        /// Slots needed.
        size: u16,
    },
    /// An area does not have the alignment that the standard demands.
    Misaligned {
        /// Which one.
        area: AreaName,
        /// Its address.
        address: u64,
        /// The alignment in bytes.
        align: u64,
    },
    /// An area is not in shared memory, or not in one piece of it that is aligned as its address is.
    Unmapped {
        /// Which one.
        area: AreaName,
        /// The range that was asked for.
        range: Unmapped,
    },
    /// Buffers are staged, which would be lost. Publish them, or suspend the queue, before it is resumed.
    Staged,
    /// The device holds chains, so the queue can be resumed only where it stands.
    InFlight {
        /// Their descriptors.
        descriptors: u16,
    },
    /// The other side broke the queue; only a reset helps.
    Broken,
    /// A queue can be reset in its own format only.
    Format,
    /// The position to begin at does not exist in a queue of this size, or has more in flight than it holds.
    Position {
        /// The available half of the position.
        available: u16,
        /// The used half of the position.
        used: u16,
        /// The queue's size.
        size: u16,
    },
    /// A device that has taken chains itself cannot go on for another one, whose chains its tokens could be
    /// mistaken for; and none goes on after a serial that no queue can have come to.
    Recovery {
        /// The serial that the other device is said to have given out last.
        last: u64,
        /// The serial that this one has given out last.
        taken: u64,
    },
    /// A chain that is to be taken over cannot have been in flight in this queue, or has been taken over already, or
    /// comes after a later one, or after one that was popped; or the queue does not run.
    Taken(Taken),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size(bad) => bad.fmt(f),
            Self::TooFewSlots { slots, size } => {
                write!(f, "{slots} slots were lent for a queue of {size}")
            }
            Self::Misaligned { area, address, align } => {
                write!(f, "the {area} at {address:#x} is not aligned to {align} bytes")
            }
            Self::Unmapped { area, range: Unmapped { address, len } } => {
                write!(f, "the {area}: {len} bytes at {address:#x} are no aligned piece of shared memory")
            }
            Self::Staged => f.write_str("buffers are staged that have not been published"),
            Self::InFlight { descriptors } => {
                write!(
                    f,
                    "{descriptors} descriptors are in flight, so the queue goes on only where it stands"
                )
            }
            Self::Broken => f.write_str("the other side broke the queue; only a reset helps"),
            Self::Format => f.write_str("the queue is of the other format"),
            Self::Position { available, used, size } => write!(
                f,
                "position {available:#x} available, {used:#x} used does not exist in a queue of {size}"
            ),
            Self::Recovery { last, taken } => {
                write!(
                    f,
                    "a device whose chains are numbered up to {taken} cannot go on after chain {last} of another"
                )
            }
            Self::Taken(Taken { serial, id, count, .. }) => {
                write!(f, "chain {serial} with id {id} and {count} descriptors cannot be taken over")
            }
        }
    }
}

impl Error for SetupError {}

impl From<BadQueueSize> for SetupError {
    fn from(bad: BadQueueSize) -> Self {
        Self::Size(bad)
    }
}

/// Why a buffer was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddReason {
    /// There are not enough free descriptors now. Reap, and try again.
    Full {
        /// Free descriptors.
        free: u16,
        /// Descriptors that the buffer needs; at most the queue's size.
        needed: u16,
    },
    /// The buffer has more segments than the queue has descriptors.
    TooLong {
        /// Segments of the buffer.
        segments: usize,
        /// The queue's size.
        size: u16,
    },
    /// The buffer has no segment.
    Empty,
    /// The buffer is longer than 2^32 bytes.
    TooManyBytes {
        /// Its length.
        bytes: u64,
    },
    /// The feature that indirect tables need was not negotiated.
    IndirectNotNegotiated,
    /// The indirect table is too small for the buffer.
    TableTooSmall {
        /// Descriptors that the table holds.
        capacity: u32,
        /// Descriptors that the buffer needs.
        needed: u16,
    },
    /// The indirect table is not in shared memory.
    TableUnmapped(Unmapped),
    /// The queue does not run: the device broke a rule, or the queue is suspended.
    Stopped,
}

impl fmt::Display for AddReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full { free, needed } => {
                write!(f, "the queue is full: {needed} descriptors needed, {free} free")
            }
            Self::TooLong { segments, size } => {
                write!(f, "a buffer of {segments} segments can never fit a queue of {size}")
            }
            Self::Empty => f.write_str("a buffer without segments"),
            Self::TooManyBytes { bytes } => write!(f, "a buffer of {bytes} bytes, over 2^32"),
            Self::IndirectNotNegotiated => f.write_str("indirect tables were not negotiated for this queue"),
            Self::TableTooSmall { capacity, needed } => {
                write!(f, "a buffer of {needed} segments in an indirect table for {capacity}")
            }
            Self::TableUnmapped(unmapped) => write!(f, "the indirect table: {unmapped}"),
            Self::Stopped => f.write_str("the queue is suspended, or the device broke it"),
        }
    }
}

/// A buffer was not added. Nothing has changed, and the cookie comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AddError<T> {
    /// Why.
    pub reason: AddReason,
    /// What was handed in.
    pub cookie: T,
}

impl<T> fmt::Display for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

/// Without the cookie, which may be of a type that cannot be printed.
impl<T> fmt::Debug for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> Error for AddError<T> {}

/// No chain could be popped.
#[derive(Debug, PartialEq, Eq)]
pub enum PopError {
    /// The driver broke a rule. Said once; the queue is idle from now on.
    Violation(Violation),
    /// The chain has more segments than the storage that was lent. It has been taken from the queue and
    /// can only be completed or given back.
    TooLong(Token),
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::TooLong(_) => f.write_str("a chain has more segments than the device takes"),
        }
    }
}

impl Error for PopError {}

impl From<Violation> for PopError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// A chain was not completed.
#[derive(Debug, PartialEq, Eq)]
pub enum CompleteError {
    /// The token is from before a reset. The buffer is no longer the device's.
    Stale,
    /// More bytes were said to be written than the driver allowed. The token comes back.
    TooManyBytes {
        /// The right to try again.
        token: Token,
        /// Bytes said to be written.
        written: u32,
    },
    /// The queue is suspended. The token comes back, good for after the resume.
    Suspended(Token),
    /// The chain cannot be given back as if it had not been taken, because a later one was taken and is in
    /// flight or has been returned. The token comes back.
    NotNewest(Token),
}

impl fmt::Display for CompleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the token is from before a reset"),
            Self::TooManyBytes { token, written } => {
                write!(f, "{written} bytes written to a chain with {} writable", token.writable())
            }
            Self::Suspended(_) => f.write_str("the queue is suspended"),
            Self::NotNewest(_) => f.write_str("a later chain was taken and not given back"),
        }
    }
}

impl Error for CompleteError {}
