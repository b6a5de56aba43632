//! Why a check was not passed.

use core::fmt;

use ring_core::error::AddErrorKind;
use ring_core::memory::AccessError;
use ring_core::{AddError, Features, SetupError, Violation};

/// What went wrong. All end the check, so there is one type for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The device does not offer what the combination needs.
    NotOffered {
        /// What it does not offer.
        missing: Features,
    },
    /// The device offers the features, but not together.
    Refused {
        /// What was asked for.
        features: Features,
    },
    /// The queue is smaller than the check needs, or not there.
    QueueSize {
        /// What the check needs.
        size: u16,
        /// What the device has.
        max: u32,
    },
    /// ring-core refused the set-up.
    Setup(SetupError),
    /// ring-core refused a buffer.
    Add(AddErrorKind),
    /// The device broke a rule.
    Violation(Violation),
    /// The device gave up.
    NeedsReset,
    /// There is not enough memory for devices, or an address is outside it.
    Memory(AccessError),
    /// A buffer came back with another length than it has to.
    Written {
        /// How much the device wrote.
        written: u32,
        /// How much it had to.
        expected: u32,
    },
    /// A request came back with another status than success.
    Status {
        /// The status.
        status: u32,
    },
    /// The data is not what it has to be.
    Data {
        /// Where: an offset in bytes, whose meaning is the check's.
        offset: u64,
        /// What is there.
        found: u64,
        /// What should be.
        expected: u64,
    },
    /// The rings and their indices wrapped around too rarely for the check to mean anything.
    TooFew {
        /// How often a ring was gone around.
        laps: u32,
        /// How often an index wrapped around.
        wraps: u32,
        /// How often it had to.
        needed: u32,
    },
}

impl fmt::Display for Failure {
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

impl From<SetupError> for Failure {
    fn from(error: SetupError) -> Self {
        Self::Setup(error)
    }
}

impl<T> From<AddError<T>> for Failure {
    fn from(error: AddError<T>) -> Self {
        Self::Add(error.kind)
    }
}

impl From<Violation> for Failure {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<AccessError> for Failure {
    fn from(unmapped: AccessError) -> Self {
        Self::Memory(unmapped)
    }
}
