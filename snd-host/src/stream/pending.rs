//! The messages of a stream that its guest waits for.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use super::message::Message;
use crate::pcm::Params;

/// Messages in the order in which they were accepted, and how much audio they are about.
#[derive(Debug)]
pub(crate) struct Backlog {
    params: Params,
    /// Never more than the queue has descriptors.
    entries: VecDeque<Entry>,
    /// Bytes of audio in `entries`; at most the size of the guest's buffer.
    bytes: u32,
    /// Frames of all messages that were ever accepted.
    end: u64,
    /// Bytes of audio of those messages that were given back, and are to come again.
    given_back: u32,
}

/// A message that its guest waits for.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) message: Message,
    /// Bytes of audio.
    pub(crate) bytes: u32,
    /// Frames accepted up to and including this message.
    pub(crate) end: u64,
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages with {} bytes waiting", self.entries.len(), self.bytes)
    }
}

impl Backlog {
    pub(crate) const fn new(params: Params) -> Self {
        Self { params, entries: VecDeque::new(), bytes: 0, end: 0, given_back: 0 }
    }

    /// How many bytes of audio may be accepted now.
    pub(crate) const fn room(&self) -> u32 {
        self.params.buffer_bytes.saturating_sub(self.bytes)
    }

    /// Accepts a message about whole frames; hands it back if it has none, or parts of one, or too many. Returns how
    /// many of its bytes were accepted before, and given back.
    pub(crate) fn accept(&mut self, message: Message, bytes: u64) -> Result<u32, Message> {
        let bytes = match u32::try_from(bytes) {
            Ok(bytes @ 1..) if bytes <= self.room() && bytes.is_multiple_of(self.params.frame_bytes()) => {
                bytes
            }
            _ => return Err(message),
        };
        let known = bytes.min(self.given_back);
        self.given_back -= known;
        self.end += self.params.frames((bytes - known).into());
        self.bytes += bytes;
        self.entries.push_back(Entry { message, bytes, end: self.end_here() });
        Ok(known)
    }

    /// Gives back the newest message, as if it had not been accepted, if `give` takes it. Returns whether it does.
    pub(crate) fn give_back(&mut self, give: impl FnOnce(Message) -> Result<(), Message>) -> bool {
        let Some(Entry { message, bytes, end }) = self.entries.pop_back() else { return false };
        if let Err(message) = give(message) {
            self.entries.push_back(Entry { message, bytes, end });
            return false;
        }
        self.bytes -= bytes;
        self.given_back += bytes;
        true
    }

    /// Frames of all messages that were ever accepted.
    pub(crate) const fn end(&self) -> u64 {
        self.end
    }

    /// The same, but for those that were given back.
    pub(crate) const fn end_here(&self) -> u64 {
        self.end - self.params.frames(self.given_back as u64)
    }

    /// Whether the guest waits for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.given_back == 0
    }

    /// When, in time since the beginning, the next message is over.
    pub(crate) fn next_end(&self) -> Option<Duration> {
        self.entries.front().map(|entry| self.params.duration(entry.end))
    }

    /// Takes out the next message if it is over at `position`, which counts frames.
    pub(crate) fn pop(&mut self, position: u64) -> Option<Entry> {
        self.entries.front().filter(|entry| entry.end <= position)?;
        let entry = self.entries.pop_front()?;
        self.bytes -= entry.bytes;
        Some(entry)
    }
}

/// Watches a number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Tally(u64);

impl Tally {
    /// Whether it has grown since this was last asked.
    pub(crate) const fn has_grown(&mut self, to: u64) -> bool {
        let grown = to > self.0;
        self.0 = to;
        grown
    }
}
