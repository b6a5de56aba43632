//! The ways in which a device fails.

use std::io;

use thiserror::Error;

use crate::area::AreaError;
use crate::protocol::{MessageError, ReceiveError, Request, SendError};

/// The device cannot be used any more.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The device does not reply.
    #[error("no answer to {request:?}")]
    Receive {
        /// The request.
        request: Request,
        /// The cause.
        source: ReceiveError,
    },
    /// A message cannot be sent.
    #[error("cannot send a message")]
    Send(#[from] SendError),
    /// The device replies to another request, or sends a request.
    #[error("the device answers {request:?} with message {number}")]
    WrongReply {
        /// The request.
        request: Request,
        /// The number of the message that the device sent.
        number: u32,
    },
    /// The reply has the wrong length or number of file descriptors.
    #[error("the device answers {request:?} with {error}")]
    MalformedReply {
        /// The request.
        request: Request,
        /// What is wrong with the reply.
        error: MessageError,
    },
    /// The device acknowledges the request with a failure.
    #[error("the device refuses {request:?} (code {code})")]
    Refused {
        /// The request.
        request: Request,
        /// The code in the device's reply.
        code: u64,
    },
    /// The device does not handle its messages.
    #[error("{count} messages to the device wait until it has handled earlier ones")]
    Behind {
        /// The number of messages that wait.
        count: usize,
    },
    /// The device sends a message although it was not asked.
    #[error("it sent message {number} unasked")]
    Unasked {
        /// The number of the message.
        number: u32,
    },
    /// The connection has ended.
    #[error(transparent)]
    Disconnected(ReceiveError),
    /// The isolated area cannot be made.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// The process has too many open files.
    #[error("cannot make a file descriptor")]
    Descriptors(#[from] io::Error),
}
