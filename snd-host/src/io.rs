//! I/O messages: what is in their chains, and where their status goes.

use ring_core::memory::Memory;
use ring_core::{Chain, Reader, Segment, Token, Writer};

use crate::spec::{PcmStatus, PcmTransfer, Status};

/// Bytes of the status at the end of a message.
const STATUS_BYTES: u32 = 8;
const _: () = assert!(size_of::<PcmStatus>() == STATUS_BYTES as usize);

/// A message that has been taken from its queue and has to be returned.
#[derive(Debug)]
pub(crate) struct Message {
    token: Token,
    /// The last bytes that the device may write, or nothing if there are too few for a status.
    room: Vec<Segment>,
}

/// A message that is done, and what its guest is told.
#[derive(Debug)]
pub(crate) struct Completion {
    message: Message,
    status: Status,
    latency_bytes: u32,
}

impl Message {
    pub(crate) fn new(chain: Chain<'_>) -> Self {
        let room = tail(chain.writable()).unwrap_or_default();
        Self { token: chain.into_token(), room }
    }

    pub(crate) const fn played(self, latency_bytes: u32) -> Completion {
        Completion { message: self, status: Status::Ok, latency_bytes }
    }

    pub(crate) const fn failed(self) -> Completion {
        Completion { message: self, status: Status::IoErr, latency_bytes: 0 }
    }
}

impl Completion {
    /// Writes the status, where there is room. Returns what to complete the chain with.
    pub(crate) fn write(self, memory: &impl Memory) -> (Token, u32) {
        let Self { message, status, latency_bytes } = self;
        let value = PcmStatus { status: status.code(), latency_bytes: latency_bytes.into() };
        let mut writer = Writer::new(memory, &message.room);
        // A status that cannot be written is the guest's loss; the message comes back in any case.
        let written = writer.write_value(&value).map_or(0, |()| writer.written());
        (message.token, written)
    }
}

/// The end of `segments`, as long as a status, if they are that long.
fn tail(segments: &[Segment]) -> Option<Vec<Segment>> {
    let mut missing = STATUS_BYTES;
    let mut tail = Vec::new();
    for segment in segments.iter().rev().filter(|segment| segment.len > 0) {
        let len = segment.len.min(missing);
        tail.insert(0, Segment::new(segment.address + u64::from(segment.len - len), len));
        missing -= len;
        if missing == 0 {
            return Some(tail);
        }
    }
    None
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
        assert_eq!(tail(&[segment(0x100, 8)]), Some(vec![segment(0x100, 8)]));
        assert_eq!(tail(&[segment(0x100, 100)]), Some(vec![segment(0x15c, 8)]));
        assert_eq!(
            tail(&[segment(0x100, 9), segment(0x200, 0), segment(0x300, 3), segment(0x400, 2)]),
            Some(vec![segment(0x106, 3), segment(0x300, 3), segment(0x400, 2)])
        );
        assert_eq!(tail(&[segment(0x100, 4), segment(0x200, 3)]), None);
        assert_eq!(tail(&[]), None);
    }
}
