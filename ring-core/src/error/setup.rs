//! Errors in the configuration of a queue.

use core::error::Error;
use core::fmt;

use crate::chain::ChainRecord;
use crate::index::QueueSizeError;
use crate::memory::AccessError;

/// The three areas of a queue (VIRTIO 1.4, 2.6 "Virtqueues").
///
/// Exhaustive, because a virtqueue has these three areas and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AreaName {
    /// The descriptor area.
    Descriptor,
    /// The driver area, which the driver writes.
    Driver,
    /// The device area, which the device writes.
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

/// A queue cannot be set up, reset, resumed or recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetupError {
    /// The format does not allow this size.
    Size(QueueSizeError),
    /// Fewer slots were lent than the queue has descriptors.
    TooFewSlots {
        /// The number of slots lent.
        slots: usize,
        /// The number of slots needed.
        size: u16,
    },
    /// An area is not aligned as the standard demands.
    Misaligned {
        /// The area.
        area: AreaName,
        /// Its address.
        address: u64,
        /// The alignment in bytes.
        align: u64,
    },
    /// An area is not shared memory, not contiguous, or not mapped with the alignment of its
    /// address.
    Unmapped {
        /// The area.
        area: AreaName,
        /// Its address range.
        range: AccessError,
    },
    /// Two areas share memory. Only a device end checks this: a driver chooses its areas itself.
    Overlap {
        /// The two areas.
        areas: [AreaName; 2],
    },
    /// Chains are staged and would be lost. Publish them, or suspend the queue, before resuming it.
    Staged,
    /// This end has chains or buffers in flight, so a device can only resume at its current
    /// position, and a driver cannot begin at another position.
    InFlight {
        /// The number of descriptors of these chains or buffers.
        descriptors: u16,
    },
    /// The other side has broken a rule. The queue has to be reset.
    Broken,
    /// A queue can only be reset or remapped in its own format.
    Format,
    /// The memory under a queue changes, but its size and its features do not.
    Changed,
    /// The position does not exist in a queue of this size, or implies more descriptors in flight
    /// than the queue has. For a driver that begins at another position: the position implies
    /// descriptors in flight.
    Position {
        /// The `available` part of the position.
        available: u16,
        /// The `used` part of the position.
        used: u16,
        /// The queue's size.
        size: u16,
    },
    /// A device cannot take over from a crashed device: this device has taken chains itself, whose
    /// tokens could be mistaken for those of adopted chains, or no queue can have reached the given
    /// serial.
    Recovery {
        /// The serial that the crashed device is said to have used last.
        last: u64,
        /// The serial that this device has used last.
        taken: u64,
    },
    /// A chain cannot be adopted: the record cannot be that of a chain in flight, the chain has
    /// been adopted already, a later chain has been adopted, a chain has been popped, or the queue
    /// does not run.
    ChainRecord(ChainRecord),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size(bad) => bad.fmt(f),
            Self::TooFewSlots { slots, size } => {
                write!(f, "{slots} slots were lent for a queue of {size}; lend one for each descriptor")
            }
            Self::Misaligned { area, address, align } => {
                write!(f, "the {area} at {address:#x} is not aligned to {align} bytes")
            }
            Self::Unmapped { area, range: AccessError { address, len } } => {
                write!(
                    f,
                    "the {area}, {len} bytes at {address:#x}, is not one range of shared memory whose \
                     address in this program equals {address:#x} modulo 8"
                )
            }
            Self::Overlap { areas: [first, second] } => {
                write!(f, "the {first} and the {second} share memory")
            }
            Self::Staged
            | Self::InFlight { .. }
            | Self::Broken
            | Self::Format
            | Self::Changed
            | Self::Position { .. }
            | Self::Recovery { .. }
            | Self::ChainRecord(_) => self.describe_change(f),
        }
    }
}

impl SetupError {
    /// Describes the errors of a queue that was set up before.
    fn describe_change(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Staged => {
                f.write_str("staged chains have not been published; publish them before resuming the queue")
            }
            Self::InFlight { descriptors } => {
                write!(f, "{descriptors} descriptors are in flight; stay at the current position")
            }
            Self::Broken => f.write_str("the other side broke a rule; reset the queue"),
            Self::Format => f.write_str("the queue has the other format; set up a new queue"),
            Self::Changed => {
                f.write_str("the queue has another size or other features; reset it to change these")
            }
            Self::Position { available, used, size } => {
                write!(
                    f,
                    "a queue of {size} cannot begin at position {available:#x} available, {used:#x} used"
                )
            }
            Self::Recovery { last, taken } => {
                write!(f, "a device that has taken chains up to {taken} cannot take over after chain {last}")
            }
            Self::ChainRecord(ChainRecord { serial, id, count, .. }) => {
                write!(f, "chain {serial} with id {id} and {count} descriptors cannot be adopted")
            }
            Self::Size(_)
            | Self::TooFewSlots { .. }
            | Self::Misaligned { .. }
            | Self::Unmapped { .. }
            | Self::Overlap { .. } => f.write_str("the queue cannot be set up"),
        }
    }
}

impl Error for SetupError {}

impl From<QueueSizeError> for SetupError {
    fn from(bad: QueueSizeError) -> Self {
        Self::Size(bad)
    }
}
