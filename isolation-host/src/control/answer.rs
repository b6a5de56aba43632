//! The answers to the VMM's requests, and the reasons for refusing requests.

use std::io;
use std::os::fd::OwnedFd;

use thiserror::Error;
use zerocopy::{Immutable, IntoBytes};

use super::pending::Pending;
use super::queue::StartError;
use crate::device_link::LinkError;
use crate::guest_memory::RegionError;
use crate::journal::JournalError;
use crate::mmap::MapError;
use crate::negotiation::NegotiationError;
use crate::protocol::{MessageError, Request};

/// The answer to a request.
pub(super) enum Answer {
    /// An acknowledgement, if the VMM asks for one.
    Done,
    /// A reply.
    Reply {
        /// The payload of the reply.
        payload: Vec<u8>,
        /// The file descriptor that is sent with the reply.
        fd: Option<OwnedFd>,
    },
    /// A reply that is sent later, when the event that the request waits for has happened.
    Later(Pending),
}

impl Answer {
    /// Replies with a payload.
    pub(super) fn with(payload: &(impl IntoBytes + Immutable + ?Sized)) -> Self {
        Self::Reply { payload: payload.as_bytes().to_owned(), fd: None }
    }
}

/// A request that was refused. The VMM is told if it asks for acknowledgements, and continues.
#[derive(Debug, Error)]
pub(super) enum RequestError {
    #[error(transparent)]
    Message(#[from] MessageError),
    #[error("the request is not supported")]
    Unsupported,
    #[error("message {0} is unknown")]
    Unknown(u32),
    #[error("queue {index} does not exist; the device has {queues}")]
    NoSuchQueue { index: u64, queues: usize },
    #[error("invalid queue size {num}; use a size from 1 to 32768")]
    QueueSize { num: u32 },
    #[error("queue {index} is running; stop the queue first")]
    Running { index: usize },
    #[error("queue {index} has no kick file descriptor, and polled queues are not supported")]
    NoKick { index: usize },
    #[error("invalid memory table: {count} regions with {fds} file descriptors in {bytes} bytes")]
    MemoryTable { count: u32, fds: usize, bytes: usize },
    #[error("the request announces {size} bytes of configuration and has {bytes}")]
    Config { bytes: usize, size: u32 },
    #[error("the device answers with {bytes} bytes of configuration where {asked} were asked for")]
    ConfigAnswer { bytes: usize, asked: usize },
    #[error(transparent)]
    Map(#[from] MapError),
    #[error(transparent)]
    Region(#[from] RegionError),
    #[error(transparent)]
    Features(#[from] NegotiationError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("no device is connected")]
    NoDevice,
    #[error("the device has not answered {request:?} yet")]
    Slow { request: Request },
    #[error(transparent)]
    Device(#[from] LinkError),
    #[error("cannot use a file descriptor of the VMM")]
    Descriptor(#[from] io::Error),
}
