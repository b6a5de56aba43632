//! What the caller of one call has to handle.

use core::error::Error;
use core::fmt;

use crate::chain::Token;
use crate::memory::AccessError;

use super::Violation;

/// Why a buffer was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddErrorKind {
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
    TableUnmapped(AccessError),
    /// The queue does not run: it is suspended, or the device has broken it.
    NotRunning,
}

impl fmt::Display for AddErrorKind {
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
            Self::NotRunning => f.write_str("the queue is suspended, or the device broke it"),
        }
    }
}

/// A buffer was not added. The queue has not changed, and the cookie comes back.
///
/// Exhaustive, because a call that fails returns what it was given and the kind of error, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AddError<T> {
    /// Why the buffer was not added.
    pub kind: AddErrorKind,
    /// The cookie that was passed to the call.
    pub cookie: T,
}

impl<T> fmt::Display for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// Without the cookie, which may be of a type that cannot be printed.
impl<T> fmt::Debug for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddError").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl<T> Error for AddError<T> {}

/// No chain could be popped.
///
/// Exhaustive, because a variant can hold a [`Token`], and a `_` arm would drop the token unnoticed.
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
///
/// Exhaustive, because a variant can hold a [`Token`], and a `_` arm would drop the token unnoticed.
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
