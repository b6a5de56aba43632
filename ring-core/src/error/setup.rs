//! The fault of whoever configured the queue.

use core::error::Error;
use core::fmt;

use crate::chain::ChainRecord;
use crate::index::QueueSizeError;
use crate::memory::AccessError;

/// The three areas of a queue, as VIRTIO 1.4, 2.6 "Virtqueues" names them.
///
/// Exhaustive, because a virtqueue has these three areas and no other.
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
    Size(QueueSizeError),
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
        range: AccessError,
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
    ChainRecord(ChainRecord),
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
            Self::Unmapped { area, range: AccessError { address, len } } => {
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
            Self::ChainRecord(ChainRecord { serial, id, count, .. }) => {
                write!(f, "chain {serial} with id {id} and {count} descriptors cannot be taken over")
            }
        }
    }
}

impl Error for SetupError {}

impl From<QueueSizeError> for SetupError {
    fn from(bad: QueueSizeError) -> Self {
        Self::Size(bad)
    }
}
