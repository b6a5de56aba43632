//! Errors of single calls, which the caller handles.

use core::error::Error;
use core::fmt;

use crate::chain::Token;
use crate::memory::AccessError;

use super::Violation;

/// The reason a buffer was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddErrorKind {
    /// There are too few free descriptors at the moment. Reap, then try again.
    Full {
        /// The number of free descriptors.
        free: u16,
        /// The number of descriptors that the buffer needs; at most the queue's size.
        needed: u16,
    },
    /// The buffer has more segments than the queue has descriptors. (A packed queue accepts such a
    /// buffer through an indirect table.)
    TooLong {
        /// The number of segments.
        segments: usize,
        /// The queue's size.
        size: u16,
    },
    /// The buffer has no segment.
    Empty,
    /// A segment of the buffer has no bytes.
    EmptySegment,
    /// The buffer is longer than 2^32 bytes.
    TooManyBytes {
        /// The buffer's length.
        bytes: u64,
    },
    /// `INDIRECT_DESC`, the feature that indirect tables need, was not negotiated.
    IndirectNotNegotiated,
    /// The indirect table is too small for the buffer.
    TableTooSmall {
        /// The number of descriptors that fit into the table.
        capacity: u32,
        /// The number of descriptors that the buffer needs.
        needed: u32,
    },
    /// The indirect table is not in shared memory.
    TableUnmapped(AccessError),
    /// A segment of the buffer is not memory that may be lent to the device.
    /// [`Memory::lend`](crate::memory::Memory::lend) refuses it.
    SegmentUnmapped(AccessError),
    /// The queue does not run: it is suspended, or the device has broken a rule.
    NotRunning,
}

impl fmt::Display for AddErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Full { free, needed } => {
                write!(f, "the queue is full: {needed} descriptors needed, {free} free")
            }
            Self::TooLong { segments, size } => {
                write!(f, "a buffer of {segments} segments never fits into a queue of {size}; split it")
            }
            Self::Empty => f.write_str("the buffer has no segments"),
            Self::EmptySegment => f.write_str("a segment of the buffer has no bytes; leave it out"),
            Self::TooManyBytes { bytes } => write!(f, "the buffer has {bytes} bytes, more than 2^32"),
            Self::IndirectNotNegotiated => f.write_str("indirect tables were not negotiated for this queue"),
            Self::TableTooSmall { capacity, needed } => {
                write!(f, "the buffer has {needed} segments, but the indirect table has room for {capacity}")
            }
            Self::TableUnmapped(unmapped) => write!(f, "the indirect table is not usable: {unmapped}"),
            Self::SegmentUnmapped(AccessError { address, len }) => {
                write!(f, "a segment of {len} bytes at {address:#x} is not memory of the queue; see `Dma`")
            }
            Self::NotRunning => {
                f.write_str("the queue does not run; resume it if it is suspended, else reset it")
            }
        }
    }
}

/// A buffer was not added. The queue is unchanged, and the cookie is returned.
///
/// Exhaustive, because a call that fails returns nothing but the cookie and the kind of error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AddError<T> {
    /// The reason the buffer was not added.
    pub kind: AddErrorKind,
    /// The cookie that was passed to the call.
    pub cookie: T,
}

impl<T> fmt::Display for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// Omits the cookie, whose type may not implement `Debug`.
impl<T> fmt::Debug for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T> Error for AddError<T> {}

/// No chain could be taken.
///
/// Exhaustive, because a variant can hold a [`Token`], and a `_` arm would drop the token
/// unnoticed.
#[derive(Debug, PartialEq, Eq)]
pub enum PopError {
    /// The driver has broken a rule. Reported once; the queue is idle from now on.
    Violation(Violation),
    /// The chain has more segments than fit into the storage that the caller lent. The chain has
    /// been taken from the queue, and its token can only be completed or put back.
    TooLong(Token),
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Violation(violation) => violation.fmt(f),
            Self::TooLong(_) => f.write_str("the chain has more segments than the device accepts"),
        }
    }
}

impl Error for PopError {}

impl From<Violation> for PopError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// A chain was not completed or not put back.
///
/// Exhaustive, because a variant can hold a [`Token`], and a `_` arm would drop the token
/// unnoticed.
#[derive(Debug, PartialEq, Eq)]
pub enum CompleteError {
    /// The token is older than the last reset. The buffer no longer belongs to the device.
    Stale,
    /// More bytes were reported as written than the driver allowed. The token is returned.
    TooManyBytes {
        /// The token, for another attempt.
        token: Token,
        /// The number of bytes reported as written.
        written: u32,
    },
    /// The queue is suspended. The token is returned, and is valid again after the queue is
    /// resumed.
    Suspended(Token),
    /// The chain cannot be put back, because a later chain is in flight or has been completed. The
    /// token is returned.
    NotNewest(Token),
}

impl fmt::Display for CompleteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => f.write_str("the token is older than the last reset of the queue"),
            Self::TooManyBytes { token, written } => {
                write!(
                    f,
                    "{written} bytes reported as written to a chain with {} writable bytes",
                    token.writable()
                )
            }
            Self::Suspended(_) => f.write_str("the queue is suspended; resume it first"),
            Self::NotNewest(_) => f.write_str("a later chain was taken and not put back"),
        }
    }
}

impl Error for CompleteError {}
