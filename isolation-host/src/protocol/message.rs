//! One message: a header, a payload, and file descriptors.

use std::os::fd::OwnedFd;

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The longest payload that is accepted. The payloads of the protocol are far shorter.
pub const MAX_PAYLOAD: usize = 4096;

/// The largest number of file descriptors that a message carries: one for each region of a memory
/// table.
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

/// A message that was received, or will be sent.
#[derive(Debug)]
pub struct Message {
    /// The number of the request. See [`Request`](super::Request).
    pub request: u32,
    flags: u32,
    /// The bytes after the header.
    pub payload: Vec<u8>,
    /// The file descriptors of the message. They are closed when the message is dropped.
    pub fds: Vec<OwnedFd>,
}

/// A message whose content does not fit its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The payload is too short or too long.
    #[error("a payload of {len} bytes where {expected} were expected")]
    Length {
        /// The length of the payload.
        len: usize,
        /// The length that the request requires.
        expected: usize,
    },
    /// There are too few or too many file descriptors.
    #[error("{count} file descriptors where {expected} were expected")]
    Descriptors {
        /// The number of file descriptors.
        count: usize,
        /// The number that the request requires.
        expected: usize,
    },
}

impl Message {
    /// Makes a request with this payload.
    #[must_use]
    pub fn request(request: impl Into<u32>, payload: &(impl IntoBytes + Immutable + ?Sized)) -> Self {
        Self {
            request: request.into(),
            flags: VERSION,
            payload: payload.as_bytes().to_owned(),
            fds: Vec::new(),
        }
    }

    /// Adds a file descriptor.
    #[must_use]
    pub fn with_fd(mut self, fd: OwnedFd) -> Self {
        self.fds.push(fd);
        self
    }

    /// Asks for an acknowledgement.
    #[must_use]
    pub const fn needing_reply(mut self) -> Self {
        self.flags |= NEED_REPLY;
        self
    }

    /// Makes the reply to this request.
    #[must_use]
    pub fn reply(&self, payload: &(impl IntoBytes + Immutable + ?Sized)) -> Self {
        let mut reply = Self::request(self.request, payload);
        reply.flags |= REPLY;
        reply
    }

    /// Returns whether the sender asks for an acknowledgement.
    #[must_use]
    pub const fn needs_reply(&self) -> bool {
        self.flags & NEED_REPLY != 0
    }

    /// Returns whether this is the reply to a request.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        self.flags & REPLY != 0
    }

    /// Returns the payload as a structure.
    ///
    /// # Errors
    ///
    /// [`MessageError::Length`] if the payload is longer or shorter.
    pub fn body<T: FromBytes>(&self) -> Result<T, MessageError> {
        T::read_from_bytes(&self.payload)
            .map_err(|_| MessageError::Length { len: self.payload.len(), expected: size_of::<T>() })
    }

    /// Returns the payload as a structure and the bytes after it.
    ///
    /// # Errors
    ///
    /// [`MessageError::Length`] if the payload is shorter.
    pub fn body_and_rest<T: FromBytes>(&self) -> Result<(T, &[u8]), MessageError> {
        T::read_from_prefix(&self.payload)
            .map_err(|_| MessageError::Length { len: self.payload.len(), expected: size_of::<T>() })
    }

    /// Takes the single file descriptor.
    ///
    /// # Errors
    ///
    /// [`MessageError::Descriptors`] if there is none, or more than one.
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
        // No payload has 4 GiB. If one had, the peer would reject the length.
        let size = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        Header { request: self.request, flags: self.flags & !VERSION_MASK | VERSION, size }
    }
}
