//! The other side's fault.

use core::error::Error;
use core::fmt;

use crate::memory::AccessError;

/// The other side broke a rule of the standard.
///
/// The name does not end in `Error`, because a violation is not an error of the call that reports it:
/// the call was right, and the other side of the queue was not.
#[doc(alias("virtio_error", "broken"))]
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
    IndirectUnmapped(AccessError),
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
