//! I/O messages: what is in their chains, and where their status goes.

use ring_core::memory::Memory;
use ring_core::{Chain, CompleteError, Reader, Segment, Token, Writer};

use crate::spec::{PcmStatus, PcmTransfer, Status};

/// Bytes of the status at the end of a message.
const STATUS_BYTES: u32 = 8;
const _: () = assert!(size_of::<PcmStatus>() == STATUS_BYTES as usize);

/// A message that has been taken from its queue and has to be returned.
#[derive(Debug)]
pub(crate) struct Message {
    token: Token,
    /// Where recorded audio goes.
    audio: Vec<Segment>,
    /// Where the status goes, or nothing if there is no room for one.
    status: Vec<Segment>,
}

/// A message that is done, and what its guest is told.
#[derive(Debug)]
pub(crate) struct Completion {
    message: Message,
    /// What was recorded.
    audio: Vec<u8>,
    status: Status,
    latency_bytes: u32,
}

impl Message {
    /// A message: all that can be written is for audio, but the status at the end.
    pub(crate) fn new(chain: Chain<'_>) -> Self {
        let (audio, status) = split_status(chain.writable()).unwrap_or_default();
        Self { token: chain.into_token(), audio, status }
    }

    /// A message with audio to play: nothing is written but the status at the end.
    pub(crate) fn to_play(chain: Chain<'_>) -> Self {
        Self { audio: Vec::new(), ..Self::new(chain) }
    }

    /// How many bytes of recorded audio there is room for.
    pub(crate) fn room(&self) -> u64 {
        Segment::total(&self.audio)
    }

    /// Gives its token to `give`. Fails if that does not take it.
    pub(crate) fn give_back(self, give: impl FnOnce(Token) -> Result<(), CompleteError>) -> Result<(), Self> {
        let Self { token, audio, status } = self;
        match give(token) {
            Err(CompleteError::NotNewest(token) | CompleteError::Suspended(token)) => {
                Err(Self { token, audio, status })
            }
            // There is nothing left to be given back.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns without audio: what there was has been played, or none was wanted.
    pub(crate) const fn played(self, latency_bytes: u32) -> Completion {
        self.recorded(Vec::new(), latency_bytes)
    }

    /// Returns with as much audio as there is room for, or with none.
    pub(crate) const fn recorded(self, audio: Vec<u8>, latency_bytes: u32) -> Completion {
        Completion { message: self, audio, status: Status::Ok, latency_bytes }
    }

    /// Returns as refused.
    pub(crate) const fn failed(self) -> Completion {
        Completion { message: self, audio: Vec::new(), status: Status::IoErr, latency_bytes: 0 }
    }
}

impl Completion {
    /// Writes the audio, and the status where there is room. Returns what to complete the chain with: the
    /// status counts as if it followed the audio at once, which is how drivers tell how much audio it is.
    pub(crate) fn write(self, memory: &impl Memory) -> (Token, u32) {
        let Self { message, audio, mut status, latency_bytes } = self;
        let mut writer = Writer::new(memory, &message.audio);
        if writer.write(&audio).is_err() {
            status = Status::IoErr;
        }
        let audio = writer.written();
        let value = PcmStatus { status: status.code(), latency_bytes: latency_bytes.into() };
        let mut writer = Writer::new(memory, &message.status);
        // A status that cannot be written is the guest's loss; the message comes back in any case.
        let written = writer.write_value(&value).map_or(0, |()| audio + writer.written());
        (message.token, written)
    }
}

/// The last bytes of `segments`, as many as a status has, and those before, if there are so many.
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

/// Which stream a message is for. `None` if it is cut short or not in shared memory.
pub(crate) fn stream_id(reader: &mut Reader<'_, impl Memory>) -> Option<usize> {
    let transfer: PcmTransfer = reader.read_value().ok()?;
    usize::try_from(transfer.stream_id.get()).ok()
}

/// The rest of a message, unless it has more than `limit` bytes or is not in shared memory.
pub(crate) fn payload(reader: &mut Reader<'_, impl Memory>, limit: u32) -> Option<Vec<u8>> {
    let len = u32::try_from(reader.remaining()).ok().filter(|len| *len <= limit)?;
    let mut bytes = vec![0; len as usize];
    reader.read(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_goes_to_the_last_eight_bytes_however_they_are_cut() {
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
