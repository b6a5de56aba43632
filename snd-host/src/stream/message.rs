//! I/O messages: the audio and the status in their chains.

use ring_core::memory::Memory;
use ring_core::{Chain, CompleteError, Reader, Segment, Token, Writer};

use crate::spec::{PcmStatus, PcmTransfer, Status};

/// Size of the status at the end of a message.
const STATUS_BYTES: u32 = 8;
const _: () = assert!(size_of::<PcmStatus>() == STATUS_BYTES as usize);

/// A message that was popped from a queue and has to be completed.
#[derive(Debug)]
pub(crate) struct Message {
    token: Token,
    /// Buffers for recorded audio.
    audio: Vec<Segment>,
    /// Buffers for the status; empty if the driver left no room for a status.
    status: Vec<Segment>,
}

/// A message with its result, ready to be returned to the driver.
#[derive(Debug)]
pub(crate) struct Completion {
    message: Message,
    /// Recorded audio.
    audio: Vec<u8>,
    status: Status,
    latency_bytes: u32,
}

impl Message {
    /// Creates a message from a chain whose writable part is for recorded audio and the status.
    pub(crate) fn new(chain: Chain<'_>) -> Self {
        let (audio, status) = split_status(chain.writable()).unwrap_or_default();
        Self { token: chain.into_token(), audio, status }
    }

    /// Creates a message from a chain of audio to play. Only the status will be written.
    pub(crate) fn to_play(chain: Chain<'_>) -> Self {
        Self { audio: Vec::new(), ..Self::new(chain) }
    }

    /// Returns the size of the buffers for recorded audio, in bytes.
    pub(crate) fn room(&self) -> u64 {
        Segment::total(&self.audio)
    }

    /// Passes the token to `unpop`. Returns the message as an error if the queue refuses the token.
    pub(crate) fn unpop(self, unpop: impl FnOnce(Token) -> Result<(), CompleteError>) -> Result<(), Self> {
        let Self { token, audio, status } = self;
        match unpop(token) {
            Err(CompleteError::NotNewest(token) | CompleteError::Suspended(token)) => {
                Err(Self { token, audio, status })
            }
            // After any other error the queue has no use for the token.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Completes a message whose audio was played.
    pub(crate) const fn played(self, latency_bytes: u32) -> Completion {
        self.recorded(Vec::new(), latency_bytes)
    }

    /// Completes a message with recorded audio, which must fit into [`room`](Self::room).
    pub(crate) const fn recorded(self, audio: Vec<u8>, latency_bytes: u32) -> Completion {
        Completion { message: self, audio, status: Status::Ok, latency_bytes }
    }

    /// Completes a message with an error.
    pub(crate) const fn failed(self) -> Completion {
        Completion { message: self, audio: Vec::new(), status: Status::IoErr, latency_bytes: 0 }
    }
}

impl Completion {
    /// Writes the audio and, if there is room, the status.
    ///
    /// Returns the token and the length to complete the chain with. The length is the sum of audio
    /// and status, wherever the status is, because drivers compute the size of the audio from it.
    pub(crate) fn write(self, memory: &impl Memory) -> (Token, u32) {
        let Self { message, audio, mut status, latency_bytes } = self;
        let mut writer = Writer::new(memory, &message.audio);
        if writer.write(&audio).is_err() {
            status = Status::IoErr;
        }
        let audio = writer.written();
        let value = PcmStatus { status: status.code(), latency_bytes: latency_bytes.into() };
        let mut writer = Writer::new(memory, &message.status);
        // Even if the status cannot be written, the chain is returned, with a length of 0.
        let written = writer.write_value(&value).map_or(0, |()| audio + writer.written());
        (message.token, written)
    }
}

/// Splits the last [`STATUS_BYTES`] bytes off; `None` if `segments` has fewer bytes.
fn split_status(segments: &[Segment]) -> Option<(Vec<Segment>, Vec<Segment>)> {
    let mut missing = STATUS_BYTES;
    let (mut before, mut status) = (Vec::new(), Vec::new());
    for segment in segments.iter().rev().filter(|segment| segment.len > 0) {
        let len = segment.len.min(missing);
        let rest = segment.len - len;
        if len > 0 {
            status.push(Segment::new(segment.address + u64::from(rest), len));
        }
        if rest > 0 {
            before.push(Segment::new(segment.address, rest));
        }
        missing -= len;
    }
    before.reverse();
    status.reverse();
    (missing == 0).then_some((before, status))
}

/// Reads the number of the stream; `None` if the message is too short or not in shared memory.
pub(crate) fn stream_id(reader: &mut Reader<'_, impl Memory>) -> Option<usize> {
    let transfer: PcmTransfer = reader.read_value().ok()?;
    usize::try_from(transfer.stream_id.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_goes_to_the_last_eight_bytes_in_any_segments() {
        let segment = Segment::new;
        assert_eq!(split_status(&[segment(0x100, 8)]), Some((vec![], vec![segment(0x100, 8)])));
        assert_eq!(
            split_status(&[segment(0x100, 100)]),
            Some((vec![segment(0x100, 92)], vec![segment(0x15c, 8)]))
        );
        assert_eq!(
            split_status(&[
                segment(0x80, 5),
                segment(0x100, 9),
                segment(0x200, 0),
                segment(0x300, 3),
                segment(0x400, 2)
            ]),
            Some((
                vec![segment(0x80, 5), segment(0x100, 6)],
                vec![segment(0x106, 3), segment(0x300, 3), segment(0x400, 2)]
            ))
        );
        assert_eq!(split_status(&[segment(0x100, 4), segment(0x200, 3)]), None);
        assert_eq!(split_status(&[]), None);
    }
}
