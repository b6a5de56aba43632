//! The messages between the card process and the audio process.
//!
//! A message is one packet of a fixed size, some with a file or a text. All fields that come from
//! the other process are checked.

use zerocopy::{FromBytes, FromZeros as _, Immutable, IntoBytes, KnownLayout};

use crate::pcm::Params;
use crate::spec::PcmSetParams;

/// The version of the messages and of the shared areas. Both processes have to agree.
const VERSION: u32 = 1;

/// The number of a take. No two takes of a card process have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TakeId(pub u64);

/// The direction of a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The take plays.
    Play,
    /// The take records.
    Record,
}

/// What the audio process has to know to open a take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The number of the take.
    pub take: TakeId,
    /// Whether the take plays or records.
    pub direction: Direction,
    /// The number of the stream.
    pub stream: u32,
    /// The parameters of the stream.
    pub params: Params,
    /// Whether the guest can change the level.
    pub has_level: bool,
    /// How often the take was opened, by this audio process and by earlier ones.
    pub generation: u64,
}

/// A message of the card process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first message, with the file that wakes the card's event loop.
    Hello,
    /// Look whether the sink and the source work, and report in the log if one does not.
    Probe,
    /// Open a take, whose shared area is in the file.
    Open(Opening),
    /// Look at a take: its mode or its audio has changed.
    Wake(TakeId),
    /// Answer with [`Report::Alive`].
    Ask,
}

/// What an audio process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Number of threads.
    pub threads: u32,
    /// Number of open files.
    pub files: u32,
    /// How long the process has been in a call that waits for a sink or a source; the longest of
    /// all takes, in milliseconds.
    pub busy_ms: u32,
}

/// A message of the audio process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Sink and source are described correctly, and the process is in its sandbox.
    Ready,
    /// The process cannot run, for the reason in the text.
    Refused,
    /// The answer to [`Order::Ask`].
    Alive(Usage),
    /// A take has ended.
    Ended(TakeId),
}

/// The only message to the launcher, with the end of a channel for the audio process: end the audio
/// process if there is one, and start another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launch;

/// The bytes of a message.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Packet {
    kind: u32,
    flag: u32,
    take: u64,
    generation: u64,
    /// The stream is in the header.
    params: PcmSetParams,
}
const _: () = assert!(size_of::<Packet>() == 48);

mod kind {
    pub(super) const HELLO: u32 = 1;
    pub(super) const OPEN_TO_PLAY: u32 = 2;
    pub(super) const OPEN_TO_RECORD: u32 = 3;
    pub(super) const WAKE: u32 = 4;
    pub(super) const ASK: u32 = 5;
    pub(super) const READY: u32 = 6;
    pub(super) const REFUSED: u32 = 7;
    pub(super) const ALIVE: u32 = 8;
    pub(super) const ENDED: u32 = 9;
    pub(super) const LAUNCH: u32 = 10;
    pub(super) const PROBE: u32 = 11;
}

fn packet(kind: u32) -> Packet {
    Packet { kind, ..Packet::new_zeroed() }
}

/// A message that can be sent and received.
pub(super) trait Message: Sized {
    fn to_packet(&self) -> Packet;

    /// Returns the message of a packet; `None` if there is no such message.
    fn from_packet(packet: &Packet) -> Option<Self>;
}

impl Message for Order {
    fn to_packet(&self) -> Packet {
        match self {
            Self::Hello => Packet { generation: VERSION.into(), ..packet(kind::HELLO) },
            Self::Probe => packet(kind::PROBE),
            Self::Open(opening) => {
                let Opening { take, direction, stream, params, has_level, generation } = *opening;
                let kind = match direction {
                    Direction::Play => kind::OPEN_TO_PLAY,
                    Direction::Record => kind::OPEN_TO_RECORD,
                };
                Packet {
                    kind,
                    flag: has_level.into(),
                    take: take.0,
                    generation,
                    params: params.request(stream),
                }
            }
            Self::Wake(take) => Packet { take: take.0, ..packet(kind::WAKE) },
            Self::Ask => packet(kind::ASK),
        }
    }

    fn from_packet(packet: &Packet) -> Option<Self> {
        let &Packet { kind, flag, take, generation, ref params } = packet;
        let (take, direction) = (
            TakeId(take),
            match kind {
                kind::HELLO if generation == u64::from(VERSION) => {
                    return Some(Self::Hello);
                }
                kind::OPEN_TO_PLAY => Direction::Play,
                kind::OPEN_TO_RECORD => Direction::Record,
                kind::WAKE => return Some(Self::Wake(TakeId(take))),
                kind::ASK => return Some(Self::Ask),
                kind::PROBE => return Some(Self::Probe),
                _ => return None,
            },
        );
        let stream = params.header.stream_id.get();
        let params = Params::parse(params).ok()?;
        Some(Self::Open(Opening { take, direction, stream, params, has_level: flag != 0, generation }))
    }
}

impl Message for Report {
    fn to_packet(&self) -> Packet {
        match self {
            Self::Ready => packet(kind::READY),
            Self::Refused => packet(kind::REFUSED),
            Self::Alive(Usage { threads, files, busy_ms }) => Packet {
                flag: *threads,
                take: (*files).into(),
                generation: (*busy_ms).into(),
                ..packet(kind::ALIVE)
            },
            Self::Ended(take) => Packet { take: take.0, ..packet(kind::ENDED) },
        }
    }

    fn from_packet(packet: &Packet) -> Option<Self> {
        let &Packet { kind, flag, take, generation, .. } = packet;
        let small = |number| u32::try_from(number).unwrap_or(u32::MAX);
        match kind {
            kind::READY => Some(Self::Ready),
            kind::REFUSED => Some(Self::Refused),
            kind::ALIVE => {
                Some(Self::Alive(Usage { threads: flag, files: small(take), busy_ms: small(generation) }))
            }
            kind::ENDED => Some(Self::Ended(TakeId(take))),
            _ => None,
        }
    }
}

impl Message for Launch {
    fn to_packet(&self) -> Packet {
        packet(kind::LAUNCH)
    }

    fn from_packet(packet: &Packet) -> Option<Self> {
        (packet.kind == kind::LAUNCH).then_some(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::of_every_format;

    #[test]
    fn every_message_survives_its_packet() {
        let openings = of_every_format().flat_map(|params| {
            [Direction::Play, Direction::Record].map(|direction| {
                let (take, generation) = (TakeId(1 << 40), 7);
                Order::Open(Opening { take, direction, stream: 3, params, has_level: true, generation })
            })
        });
        let others = [Order::Hello, Order::Probe, Order::Wake(TakeId(5)), Order::Ask];
        for order in openings.chain(others) {
            assert_eq!(Order::from_packet(&order.to_packet()), Some(order));
        }
        let usage = Usage { threads: 7, files: 9, busy_ms: 11 };
        for report in [Report::Ready, Report::Refused, Report::Alive(usage), Report::Ended(TakeId(3))] {
            assert_eq!(Report::from_packet(&report.to_packet()), Some(report));
        }
    }

    #[test]
    fn packets_of_another_version_or_kind_are_no_messages() {
        let hello = Packet { generation: 99, ..packet(kind::HELLO) };
        assert_eq!(Order::from_packet(&hello), None);
        // All parameters are 0, which no stream has.
        assert_eq!(Order::from_packet(&packet(kind::OPEN_TO_PLAY)), None);
        for kind in [0, 77, u32::MAX] {
            assert_eq!(Order::from_packet(&packet(kind)), None);
            assert_eq!(Report::from_packet(&packet(kind)), None);
        }
    }
}
