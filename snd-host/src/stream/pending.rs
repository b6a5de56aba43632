//! The messages of a take that are not completed yet.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::given::Given;
use super::message::Message;
use crate::pcm::Params;

/// Pending messages in the order of their acceptance, and the amount of their audio.
#[derive(Debug)]
pub(super) struct Pending<M = Message> {
    params: Params,
    /// Never more than the queue has descriptors.
    messages: VecDeque<PendingMessage<M>>,
    /// Bytes of audio in `messages`; at most the size of the guest's buffer.
    bytes: u32,
    /// Frames of all messages ever accepted.
    end: u64,
    /// Bytes of audio of the messages that were unpopped and will be popped again.
    unpopped: u32,
}

/// A message that is not completed yet.
#[derive(Debug)]
pub(super) struct PendingMessage<M = Message> {
    pub(super) message: M,
    /// Bytes of audio.
    pub(super) bytes: u32,
    /// Frames accepted up to and including this message.
    pub(super) end: u64,
}

impl<M> fmt::Display for Pending<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages with {} bytes waiting", self.messages.len(), self.bytes)
    }
}

impl<M> Pending<M> {
    pub(super) const fn new(params: Params) -> Self {
        Self { params, messages: VecDeque::new(), bytes: 0, end: 0, unpopped: 0 }
    }

    /// Returns how many bytes of audio fit into the guest's buffer beside the pending messages.
    pub(super) const fn room(&self) -> u32 {
        self.params.buffer_bytes.saturating_sub(self.bytes)
    }

    /// Accepts a message with `bytes` bytes of audio.
    ///
    /// Refuses the message if `bytes` is not a positive number of whole frames, or larger than
    /// [`room`](Self::room). Returns how many of the bytes were accepted before, and then unpopped.
    pub(super) fn accept(&mut self, message: M, bytes: u64) -> Result<u32, M> {
        let bytes = match u32::try_from(bytes) {
            Ok(bytes @ 1..) if bytes <= self.room() && bytes.is_multiple_of(self.params.frame_bytes()) => {
                bytes
            }
            _ => return Err(message),
        };
        let known = bytes.min(self.unpopped);
        self.unpopped -= known;
        self.end += self.params.frames((bytes - known).into());
        self.bytes += bytes;
        self.messages.push_back(PendingMessage { message, bytes, end: self.pending_end() });
        Ok(known)
    }

    /// Undoes the acceptance of the newest message. Returns whether `unpop` took a message.
    pub(super) fn unpop(&mut self, unpop: impl FnOnce(M) -> Result<(), M>) -> bool {
        let Some(PendingMessage { message, bytes, end }) = self.messages.pop_back() else { return false };
        if let Err(message) = unpop(message) {
            self.messages.push_back(PendingMessage { message, bytes, end });
            return false;
        }
        self.bytes -= bytes;
        self.unpopped += bytes;
        true
    }

    /// Returns the number of frames of all messages ever accepted.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Returns the same as [`end`](Self::end), less the frames of unpopped messages.
    pub(super) const fn pending_end(&self) -> u64 {
        self.end - self.params.frames(self.unpopped as u64)
    }

    /// Returns what the guest has given, in time.
    pub(super) fn given(&self) -> Given {
        Given { due: self.next_due(), end: self.params.duration(self.end) }
    }

    /// Returns whether no message is pending or unpopped.
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty() && self.unpopped == 0
    }

    /// Returns the position in time at which the next message is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.messages.front().map(|next| self.params.duration(next.end))
    }

    /// Takes the next message out if it is due at `position`, in frames.
    pub(super) fn pop_due(&mut self, position: u64) -> Option<PendingMessage<M>> {
        self.messages.front().filter(|next| next.end <= position)?;
        let next = self.messages.pop_front()?;
        self.bytes -= next.bytes;
        Some(next)
    }

    /// Takes the next message out, due or not.
    pub(super) fn pop(&mut self) -> Option<PendingMessage<M>> {
        self.pop_due(u64::MAX)
    }
}
