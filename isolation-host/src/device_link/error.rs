//! Why a device cannot be worked with.

use std::io;

use thiserror::Error;

use crate::area::AreaError;
use crate::protocol::{Malformed, ReceiveError, Request, SendError};

/// The device cannot be worked with any more.
#[derive(Debug, Error)]
pub enum LinkError {
    /// It does not answer, or not with a message.
    #[error("no answer to {request:?}")]
    Receive {
        /// What it was asked.
        request: Request,
        /// What happened.
        source: ReceiveError,
    },
    /// It cannot be asked.
    #[error("{request:?} cannot be sent")]
    Send {
        /// What it was to be asked.
        request: Request,
        /// What happened.
        source: SendError,
    },
    /// It answered something else.
    #[error("the device answers {request:?} with message {number}")]
    OtherAnswer {
        /// What it was asked.
        request: Request,
        /// The number of the message it sent.
        number: u32,
    },
    /// Its answer makes no sense.
    #[error("the device answers {request:?} with {malformed}")]
    Malformed {
        /// What it was asked.
        request: Request,
        /// What is wrong with the answer.
        malformed: Malformed,
    },
    /// It refused.
    #[error("the device refuses {request:?} (code {code})")]
    Refused {
        /// What it was asked.
        request: Request,
        /// Its answer.
        code: u64,
    },
    /// It has no memory yet, because the area could not be made.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// A file descriptor cannot be had.
    #[error("no file descriptor can be had")]
    Descriptors(#[from] io::Error),
}
