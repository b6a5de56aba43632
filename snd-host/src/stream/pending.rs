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
    /// The number of bytes of audio in `messages`; at most the size of the guest's buffer.
    bytes: u32,
    /// The number of frames of all messages ever accepted.
    end: u64,
    /// The number of bytes of audio in messages that were unpopped and will be popped again.
    unpopped: u32,
}

/// A message that is not completed yet.
#[derive(Debug)]
pub(super) struct PendingMessage<M = Message> {
    pub(super) message: M,
    /// Bytes of audio.
    pub(super) bytes: u32,
    /// The number of frames accepted up to and including this message.
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
    const fn room(&self) -> u32 {
        self.params.buffer_bytes.saturating_sub(self.bytes)
    }

    /// Returns how many bytes of a message's audio are new; the other bytes were accepted before,
    /// and then unpopped. Returns `None` if the message has to be refused: `bytes` is not a
    /// positive number of whole frames, or larger than the room in the guest's buffer.
    pub(super) fn new_bytes(&self, bytes: u64) -> Option<u32> {
        let bytes = u32::try_from(bytes).ok().filter(|bytes| {
            (1..=self.room()).contains(bytes) && bytes.is_multiple_of(self.params.frame_bytes())
        })?;
        Some(bytes.saturating_sub(self.unpopped))
    }

    /// Accepts a message with `bytes` bytes of audio, unless it has to be refused.
    pub(super) fn accept(&mut self, message: M, bytes: u64) -> Result<(), M> {
        let Some(new) = self.new_bytes(bytes) else { return Err(message) };
        // At most the size of the guest's buffer.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.unpopped -= bytes - new;
        self.end += self.params.frames(new.into());
        self.bytes += bytes;
        self.messages.push_back(PendingMessage { message, bytes, end: self.pending_end() });
        Ok(())
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

    /// Returns the audio that the guest has given, in time.
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

    /// Returns the duration of the audio of all messages after the next one.
    pub(super) fn after_next(&self) -> Duration {
        let next = self.messages.front().map_or(0, |next| next.bytes);
        self.params.duration(self.params.frames((self.bytes - next).into()))
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
