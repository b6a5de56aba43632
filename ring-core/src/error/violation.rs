//! Errors caused by the other side.

use core::error::Error;
use core::fmt;

use crate::memory::AccessError;

/// The other side has broken a rule of the standard.
///
/// The name does not end in `Error`, because a violation is not an error of the call that reports
/// it: the call was right, and the other side of the queue was not.
#[doc(alias("virtio_error", "broken"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The driver made more buffers available than the queue has descriptors: the index in the
    /// driver area moved too far ahead, or back (VIRTIO 1.4, 2.7.6.1 "Driver Requirements: The
    /// Virtqueue Available Ring").
    AvailableIndex {
        /// The index in the driver area.
        index: u16,
        /// The next index that the device would have taken.
        next: u16,
        /// The queue's size.
        size: u16,
    },
    /// An index lies outside the descriptor area or the indirect table.
    DescriptorIndex {
        /// The index.
        index: u16,
        /// The number of descriptors.
        size: u32,
    },
    /// A chain has more descriptors than its ring or table: it loops.
    ChainLoop {
        /// The number of descriptors in the ring or table.
        size: u32,
    },
    /// A list in a packed ring continues with a descriptor that was not made available (VIRTIO 1.4,
    /// 2.8.17 "Driver Requirements: Scatter-Gather Support").
    NotAvailable {
        /// The descriptor's slot.
        slot: u16,
    },
    /// A readable segment follows a writable one (VIRTIO 1.4, 2.7.4.2 "Driver Requirements: Message
    /// Framing" and 2.8.17 "Driver Requirements: Scatter-Gather Support").
    ReadableAfterWritable {
        /// The segment's position in the chain.
        position: usize,
    },
    /// A chain is longer than 2^32 bytes.
    ChainBytes {
        /// The length of the part that was read.
        bytes: u64,
    },
    /// A segment extends past the end of the address space.
    AddressOverflow {
        /// Its address.
        address: u64,
        /// Its length.
        len: u32,
    },
    /// A chain was made available whose head (split) or buffer id (packed) is still in flight.
    AlreadyInFlight {
        /// The head or id.
        id: u16,
    },
    /// More descriptors are in flight than the queue has.
    TooManyInFlight {
        /// The number of descriptors in flight, including the new chain.
        count: u32,
        /// The queue's size.
        size: u16,
    },
    /// A buffer id is not less than the queue's size.
    BufferId {
        /// The id.
        id: u32,
        /// The queue's size.
        size: u16,
    },
    /// A descriptor refers to an indirect table, but the feature was not negotiated.
    IndirectNotNegotiated,
    /// A descriptor refers to an indirect table and also continues the chain (VIRTIO 1.4, 2.7.5.3.1
    /// and 2.8.19, both "Driver Requirements: Indirect Descriptors").
    IndirectChained,
    /// A descriptor in an indirect table refers to another indirect table.
    IndirectNested,
    /// The length of an indirect table is 0 or not a multiple of 16 bytes, the size of a
    /// descriptor.
    IndirectLength {
        /// The length in bytes.
        len: u32,
    },
    /// An indirect table is not in shared memory.
    IndirectUnmapped(AccessError),
    /// The device returned more buffers than were in flight: the index in the device area moved too
    /// far ahead.
    UsedIndex {
        /// The index in the device area.
        index: u16,
        /// The next index that the driver would have taken.
        next: u16,
        /// The number of buffers in flight.
        in_flight: u16,
    },
    /// The device returned a buffer that is not in flight.
    NotInFlight {
        /// The id that the device wrote.
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
                write!(f, "descriptor {index} does not exist in a table of {size}")
            }
            Self::ChainLoop { size } => write!(f, "a chain has more than {size} descriptors"),
            Self::NotAvailable { slot } => write!(f, "slot {slot} continues a list but is not available"),
            Self::ReadableAfterWritable { position } => {
                write!(f, "segment {position} of a chain is readable, but follows a writable one")
            }
            Self::ChainBytes { bytes } => write!(f, "a chain has {bytes} bytes, more than 2^32"),
            Self::AddressOverflow { address, len } => {
                write!(f, "{len} bytes at {address:#x} extend past the last address")
            }
            Self::AlreadyInFlight { id } => write!(f, "buffer {id} was made available twice"),
            Self::TooManyInFlight { count, size } => {
                write!(f, "{count} descriptors are in flight in a queue of {size}")
            }
            Self::BufferId { id, size } => write!(f, "buffer id {id} does not exist in a queue of {size}"),
            Self::IndirectNotNegotiated => {
                f.write_str("a descriptor refers to an indirect table, but the feature was not negotiated")
            }
            Self::IndirectChained => {
                f.write_str("a descriptor refers to an indirect table and also continues the chain")
            }
            Self::IndirectNested => f.write_str("an indirect table refers to another indirect table"),
            Self::IndirectLength { len } => {
                write!(f, "an indirect table of {len} bytes is not a whole number of descriptors")
            }
            Self::IndirectUnmapped(unmapped) => write!(f, "an indirect table is not usable: {unmapped}"),
            Self::UsedIndex { index, next, in_flight } => {
                write!(f, "used index {index} is more than the {in_flight} buffers in flight ahead of {next}")
            }
            Self::NotInFlight { id } => write!(f, "used buffer {id} is not in flight"),
        }
    }
}

impl Error for Violation {}
