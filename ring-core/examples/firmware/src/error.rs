//! The reasons a check can fail.

use core::fmt;

use ring_core::error::AddErrorKind;
use ring_core::memory::AccessError;
use ring_core::{AddError, Features, SetupError, Violation};

/// The reason a check failed. Every failure ends the check, so there is one type for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckError {
    /// The device does not offer what the combination needs.
    NotOffered {
        /// The features that it does not offer.
        missing: Features,
    },
    /// The device offers the features, but not together.
    Refused {
        /// The requested features.
        features: Features,
    },
    /// The queue is smaller than the check needs, or does not exist.
    QueueSize {
        /// The size that the check needs.
        size: u16,
        /// The size that the device has.
        max: u32,
    },
    /// ring-core refused the set-up.
    Setup(SetupError),
    /// ring-core refused a buffer.
    Add(AddErrorKind),
    /// The device broke a rule.
    Violation(Violation),
    /// The device asks for a reset.
    NeedsReset,
    /// There is not enough memory for devices, or an address is outside this memory.
    Memory(AccessError),
    /// A buffer was returned with an unexpected length.
    Written {
        /// The number of bytes that the device wrote.
        written: u32,
        /// The number of bytes that the device had to write.
        expected: u32,
    },
    /// A request was returned with a status other than success.
    Status {
        /// The status.
        status: u32,
    },
    /// The data is wrong.
    Data {
        /// Its position: an offset in bytes, whose meaning the check defines.
        offset: u64,
        /// The value found.
        found: u64,
        /// The value expected.
        expected: u64,
    },
    /// The rings and their indices wrapped around too rarely for the check to be meaningful.
    TooFew {
        /// The number of laps around a ring.
        laps: u32,
        /// The number of times that an index wrapped around.
        wraps: u32,
        /// The number of laps and of wraps that the check needs.
        needed: u32,
    },
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOffered { missing } => {
                write!(f, "the device does not offer features {:#x}", missing.bits())
            }
            Self::Refused { features } => write!(f, "the device refuses features {:#x}", features.bits()),
            Self::QueueSize { size, max } => {
                write!(f, "the device's queue takes {max} descriptors, not {size}")
            }
            Self::Setup(error) => error.fmt(f),
            Self::Add(reason) => reason.fmt(f),
            Self::Violation(violation) => violation.fmt(f),
            Self::NeedsReset => f.write_str("the device needs a reset"),
            Self::Memory(unmapped) => unmapped.fmt(f),
            Self::Written { written, expected } => {
                write!(f, "the device wrote {written} bytes, not {expected}")
            }
            Self::Status { status } => write!(f, "the device answers with status {status:#x}"),
            Self::Data { offset, found, expected } => {
                write!(f, "{found:#x} instead of {expected:#x} at {offset}")
            }
            Self::TooFew { laps, wraps, needed } => {
                write!(f, "{laps} laps of a ring and {wraps} wrap-arounds of an index, {needed} needed")
            }
        }
    }
}

impl From<SetupError> for CheckError {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl<T> From<AddError<T>> for CheckError {
    fn from(error: AddError<T>) -> Self {
        Self::Add(error.kind)
    }
}

impl From<Violation> for CheckError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<AccessError> for CheckError {
    fn from(unmapped: AccessError) -> Self {
        Self::Memory(unmapped)
    }
}
