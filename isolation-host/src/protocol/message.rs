//! One message: a header, a payload, and file descriptors.

use std::os::fd::OwnedFd;

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The longest payload that is accepted. The longest that the protocol has, the configuration space, is far
/// shorter.
pub const MAX_PAYLOAD: usize = 4096;

/// The most file descriptors that a message carries: one for each region of a memory table.
pub const MAX_FDS: usize = 8;

/// The header of every message, in the machine's byte order.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    pub(super) request: u32,
    pub(super) flags: u32,
    pub(super) size: u32,
}

const _: () = assert!(size_of::<Header>() == 12);

const VERSION: u32 = 1;
const VERSION_MASK: u32 = 0b11;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// A message as it was received, or is to be sent.
#[derive(Debug)]
pub struct Message {
    /// The number of the request. See [`Request`](super::Request).
    pub request: u32,
    flags: u32,
    /// What follows the header.
    pub payload: Vec<u8>,
    /// The file descriptors that came with it. Those that nobody takes are closed with the message.
    pub fds: Vec<OwnedFd>,
}

/// A payload that is not what its request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// It is too short or too long.
    #[error("a payload of {len} bytes where {expected} were expected")]
    Length {
        /// The bytes that came.
        len: usize,
        /// The bytes that the request carries.
        expected: usize,
    },
    /// There are too few or too many file descriptors.
    #[error("{count} file descriptors where {expected} were expected")]
    Descriptors {
        /// How many came.
        count: usize,
        /// How many the request carries.
        expected: usize,
    },
}

impl Message {
    /// A request with this payload.
    #[must_use]
    pub fn request(request: impl Into<u32>, payload: &(impl IntoBytes + Immutable + ?Sized)) -> Self {
        Self {
            request: request.into(),
            flags: VERSION,
            payload: payload.as_bytes().to_owned(),
            fds: Vec::new(),
        }
    }

    /// The same message, with one more file descriptor.
    #[must_use]
    pub fn with_fd(mut self, fd: OwnedFd) -> Self {
        self.fds.push(fd);
        self
    }

    /// The same request, now asking for an acknowledgement.
    #[must_use]
    pub const fn needing_reply(mut self) -> Self {
        self.flags |= NEED_REPLY;
        self
    }

    /// The answer to this request.
    #[must_use]
    pub fn reply(&self, payload: &(impl IntoBytes + Immutable + ?Sized)) -> Self {
        let mut reply = Self::request(self.request, payload);
        reply.flags |= REPLY;
        reply
    }

    /// Whether the sender wants to know how it went.
    #[must_use]
    pub const fn needs_reply(&self) -> bool {
        self.flags & NEED_REPLY != 0
    }

    /// Whether this is the answer to a request.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        self.flags & REPLY != 0
    }

    /// The payload as the one structure that the request carries.
    ///
    /// # Errors
    ///
    /// [`MessageError::Length`] if it is longer or shorter.
    pub fn body<T: FromBytes>(&self) -> Result<T, MessageError> {
        T::read_from_bytes(&self.payload)
            .map_err(|_| MessageError::Length { len: self.payload.len(), expected: size_of::<T>() })
    }

    /// The payload as a structure that more bytes may follow.
    ///
    /// # Errors
    ///
    /// [`MessageError::Length`] if it is shorter.
    pub fn body_and_rest<T: FromBytes>(&self) -> Result<(T, &[u8]), MessageError> {
        T::read_from_prefix(&self.payload)
            .map_err(|_| MessageError::Length { len: self.payload.len(), expected: size_of::<T>() })
    }

    /// Takes the only file descriptor, if there is exactly one.
    ///
    /// # Errors
    ///
    /// [`MessageError::Descriptors`] if there are more or fewer.
    pub fn take_fd(&mut self) -> Result<OwnedFd, MessageError> {
        let malformed = MessageError::Descriptors { count: self.fds.len(), expected: 1 };
        if self.fds.len() != 1 {
            return Err(malformed);
        }
        self.fds.pop().ok_or(malformed)
    }

    pub(super) fn from_parts(header: Header, payload: Vec<u8>, fds: Vec<OwnedFd>) -> Self {
        Self { request: header.request, flags: header.flags, payload, fds }
    }

    pub(super) fn header(&self) -> Header {
        // Nobody sends a payload of 4 GiB; if so, the peer notices that the length is wrong.
        let size = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        Header { request: self.request, flags: self.flags & !VERSION_MASK | VERSION, size }
    }
}
