//! Control requests: what they say, and what the answer is.
//!
//! This is a function from the bytes of a request and the state of the streams to the bytes of an answer
//! and what has to be done before it is sent. It does nothing else.

mod elements;

use tracing::debug;
use zerocopy::{FromBytes, Immutable, IntoBytes};

pub(super) use self::elements::Elements;
use super::topology::Topology;
use crate::pcm::{Params, ParamsError};
use crate::spec::{CtlHeader, CtlValue, PcmHeader, PcmSetParams, QueryInfo, Status, request};
use crate::stream::{Command, Stream};

/// The longest request that there is. Of a longer one, the rest means nothing.
pub(crate) const MAX_REQUEST: usize = size_of::<CtlHeader>() + size_of::<CtlValue>();

/// Bytes of an answer that says no more than how the request ended.
pub(crate) const STATUS_BYTES: u64 = 4;

/// The most bytes for one item that a query may ask for; several times what any structure has.
const MAX_ITEM_BYTES: u32 = 256;

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    /// What follows the status.
    pub(crate) payload: Vec<u8>,
    /// What to do before the answer is sent.
    pub(crate) action: Option<Action>,
}

/// Something to be done with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) stream: usize,
    pub(crate) change: Change,
}

/// What happens to a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is given up as it is.
    Abandon,
    /// It is set up anew.
    Prepare(Params),
    Start,
    Stop,
    /// It ends.
    Release,
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self { status, payload: Vec::new(), action: None }
    }
}

/// Answers one request. There are `room` bytes for the answer, at least [`STATUS_BYTES`].
pub(crate) fn answer(bytes: &[u8], room: u64, topology: Topology, streams: &mut [Stream]) -> Answer {
    let Some(code) = code(bytes) else {
        return Status::BadMsg.into();
    };
    match code {
        request::JACK_INFO => info(bytes, room, &topology.jack_infos()),
        request::PCM_INFO => info(bytes, room, &topology.pcm_infos()),
        request::CHMAP_INFO => info(bytes, room, &topology.chmap_infos()),
        request::PCM_SET_PARAMS => set_params(bytes, streams),
        request::PCM_PREPARE => command(bytes, Command::Prepare, streams),
        request::PCM_START => command(bytes, Command::Start, streams),
        request::PCM_STOP => command(bytes, Command::Stop, streams),
        request::PCM_RELEASE => command(bytes, Command::Release, streams),
        _ => Status::NotSupp.into(),
    }
}

/// What a request asks for.
pub(crate) fn code(bytes: &[u8]) -> Option<u32> {
    parse(bytes).map(u32::from_le_bytes)
}

/// The structure at the start of `bytes`, if they are enough.
pub(crate) fn parse<T: FromBytes>(bytes: &[u8]) -> Option<T> {
    T::read_from_prefix(bytes).ok().map(|(value, _)| value)
}

/// Tells about a range of items.
///
/// The driver says how large it believes an item to be: a newer driver gets zeros for what we do not know,
/// an older one gets the beginning.
fn info<T: IntoBytes + Immutable>(bytes: &[u8], room: u64, items: &[T]) -> Answer {
    let Some((selected, size)) = select(bytes, room, items) else {
        return Status::BadMsg.into();
    };
    let item = |item: &T| {
        item.as_bytes().iter().copied().chain(std::iter::repeat(0)).take(size as usize).collect::<Vec<_>>()
    };
    Answer { payload: selected.iter().flat_map(item).collect(), ..Status::Ok.into() }
}

/// The items that a query is about, and how large the driver believes each to be, if the answer fits (VIRTIO
/// 1.4, 5.14.6.1 "Item Information Request").
pub(crate) fn select<'i, T>(bytes: &[u8], room: u64, items: &'i [T]) -> Option<(&'i [T], u32)> {
    let query: QueryInfo = parse(bytes)?;
    let (start, count, size) = (query.start_id.get(), query.count.get(), query.size.get());
    let end = usize::try_from(u64::from(start) + u64::from(count)).ok()?;
    let selected = items.get(usize::try_from(start).ok()?..end);
    let fits = STATUS_BYTES + u64::from(count) * u64::from(size) <= room && size <= MAX_ITEM_BYTES;
    if selected.is_none() || !fits {
        debug!(start, count, size, room, "bad query");
    }
    selected.filter(|_| fits).map(|selected| (selected, size))
}

fn set_params(bytes: &[u8], streams: &mut [Stream]) -> Answer {
    let Some(asked) = parse::<PcmSetParams>(bytes) else {
        return Status::BadMsg.into();
    };
    let Some((id, stream)) = find(asked.header.stream_id.get(), streams) else {
        return Status::BadMsg.into();
    };
    let Some(state) = stream.state.after(Command::SetParams) else {
        debug!(stream = id, state = ?stream.state, "parameters cannot be set now");
        return Status::BadMsg.into();
    };
    match Params::parse(&asked) {
        Ok(params) => {
            debug!(stream = id, ?params);
            (stream.state, stream.params) = (state, Some(params));
            act(id, Change::Abandon)
        }
        Err(error) => {
            debug!(stream = id, %error, "parameters refused");
            match error {
                ParamsError::Sizes { .. } => Status::BadMsg.into(),
                _ => Status::NotSupp.into(),
            }
        }
    }
}

fn command(bytes: &[u8], command: Command, streams: &mut [Stream]) -> Answer {
    let Some(header) = parse::<PcmHeader>(bytes) else {
        return Status::BadMsg.into();
    };
    let Some((id, stream)) = find(header.stream_id.get(), streams) else {
        return Status::BadMsg.into();
    };
    let (Some(state), Some(params)) = (stream.state.after(command), stream.params) else {
        debug!(stream = id, ?command, state = ?stream.state, "not allowed now");
        return Status::BadMsg.into();
    };
    debug!(stream = id, ?command);
    stream.state = state;
    act(
        id,
        match command {
            Command::SetParams => Change::Abandon,
            Command::Prepare => Change::Prepare(params),
            Command::Start => Change::Start,
            Command::Stop => Change::Stop,
            Command::Release => Change::Release,
        },
    )
}

fn find(id: u32, streams: &mut [Stream]) -> Option<(usize, &mut Stream)> {
    let id = usize::try_from(id).ok()?;
    streams.get_mut(id).map(|stream| (id, stream))
}

fn act(stream: usize, change: Change) -> Answer {
    Answer { action: Some(Action { stream, change }), ..Status::Ok.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::options::Streams;
    use crate::stream::State;

    const PLENTY: u64 = 4096;

    /// One stream that plays and one that records.
    const TOPOLOGY: Topology = Topology { streams: Streams { outputs: 1, inputs: 1 }, controls: false };

    fn streams() -> Vec<Stream> {
        TOPOLOGY.streams()
    }

    fn answer(bytes: &[u8], room: u64, streams: &mut [Stream]) -> Answer {
        super::answer(bytes, room, TOPOLOGY, streams)
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// SET_PARAMS for S16 stereo at 48 kHz.
    fn set_params_request() -> Vec<u8> {
        words(&[request::PCM_SET_PARAMS, 0, 7680, 1920, 0, 0x0007_0502])
    }

    fn status(bytes: &[u8], streams: &mut [Stream]) -> Status {
        answer(bytes, PLENTY, streams).status
    }

    #[test]
    fn pcm_info_describes_every_stream() {
        let answer = answer(&words(&[request::PCM_INFO, 0, 2, 32]), 68, &mut streams());
        assert_eq!((answer.status, &answer.payload[..]), (Status::Ok, TOPOLOGY.pcm_infos().as_bytes()));
    }

    #[test]
    fn an_item_is_cut_or_padded_to_the_size_that_the_driver_expects() {
        let info = |size| answer(&words(&[request::PCM_INFO, 0, 1, size]), PLENTY, &mut streams()).payload;
        assert_eq!(info(8), TOPOLOGY.pcm_infos()[0].as_bytes()[..8]);
        assert_eq!(info(40), [TOPOLOGY.pcm_infos()[0].as_bytes(), &[0; 8]].concat());
        assert_eq!(info(0), []);
    }

    #[test]
    fn a_query_is_good_exactly_if_its_range_exists_and_the_answer_fits() {
        for (code, start, count, size, room, expected) in [
            (request::PCM_INFO, 0, 0, 32, 4, Status::Ok),
            (request::PCM_INFO, 2, 0, 32, 4, Status::Ok),
            (request::PCM_INFO, 3, 0, 32, 4, Status::BadMsg),
            (request::PCM_INFO, 0, 1, 32, 35, Status::BadMsg),
            (request::PCM_INFO, 0, 3, 32, PLENTY, Status::BadMsg),
            (request::PCM_INFO, 2, 1, 32, PLENTY, Status::BadMsg),
            (request::PCM_INFO, u32::MAX, u32::MAX, 32, PLENTY, Status::BadMsg),
            (request::PCM_INFO, 0, 1, u32::MAX, u64::MAX, Status::BadMsg),
            (request::JACK_INFO, 0, 0, 24, 4, Status::Ok),
            (request::JACK_INFO, 0, 2, 24, 52, Status::Ok),
            (request::JACK_INFO, 0, 3, 24, PLENTY, Status::BadMsg),
            (request::CHMAP_INFO, 0, 10, 24, 244, Status::Ok),
            (request::CHMAP_INFO, 0, 11, 24, PLENTY, Status::BadMsg),
        ] {
            let bytes = words(&[code, start, count, size]);
            let answer = answer(&bytes, room, &mut streams());
            assert_eq!(answer.status, expected, "{code:#x} {start} {count} {size} {room}");
            assert!(STATUS_BYTES + answer.payload.len() as u64 <= room);
        }
    }

    #[test]
    fn what_is_not_offered_is_not_supported() {
        for code in [0, request::JACK_REMAP, 0x106, 0x300, 0x301, 0x303, 0x306, u32::MAX] {
            assert_eq!(status(&words(&[code, 0, 0, 0, 0, 0]), &mut streams()), Status::NotSupp, "{code:#x}");
        }
    }

    #[test]
    fn a_request_that_is_cut_off_is_bad_at_every_length() {
        for code in [
            request::PCM_INFO,
            request::PCM_SET_PARAMS,
            request::PCM_PREPARE,
            request::PCM_START,
            request::PCM_STOP,
            request::PCM_RELEASE,
        ] {
            let whole = match code {
                request::PCM_INFO => size_of::<QueryInfo>(),
                request::PCM_SET_PARAMS => size_of::<PcmSetParams>(),
                _ => size_of::<PcmHeader>(),
            };
            let bytes = words(&[code, 0, 0, 0, 0, 0]);
            for len in 0..whole {
                assert_eq!(status(&bytes[..len], &mut streams()), Status::BadMsg, "{code:#x} {len}");
            }
        }
    }

    #[test]
    fn a_stream_that_does_not_exist_is_a_bad_message() {
        for id in [2, 1000, u32::MAX] {
            for code in request::PCM_SET_PARAMS..=request::PCM_STOP {
                let bytes = words(&[code, id, 7680, 1920, 0, 0x0007_0502]);
                assert_eq!(status(&bytes, &mut streams()), Status::BadMsg, "{code:#x} {id}");
            }
        }
    }

    #[test]
    fn a_life_from_parameters_to_release_asks_for_each_step() {
        let mut streams = streams();
        let mut change =
            |bytes: &[u8]| answer(bytes, PLENTY, &mut streams).action.map(|action| action.change);
        assert_eq!(change(&set_params_request()), Some(Change::Abandon));
        assert!(matches!(change(&words(&[request::PCM_PREPARE, 0])), Some(Change::Prepare(_))));
        assert_eq!(change(&words(&[request::PCM_START, 0])), Some(Change::Start));
        assert_eq!(change(&words(&[request::PCM_STOP, 0])), Some(Change::Stop));
        assert_eq!(change(&words(&[request::PCM_RELEASE, 0])), Some(Change::Release));
    }

    #[test]
    fn a_refused_request_changes_nothing() {
        let mut streams = streams();
        for code in request::PCM_PREPARE..=request::PCM_STOP {
            let answer = answer(&words(&[code, 0]), PLENTY, &mut streams);
            assert_eq!(answer, Status::BadMsg.into(), "{code:#x}");
        }
        let mut other_format = set_params_request();
        other_format[21] = 69;
        assert_eq!(status(&other_format, &mut streams), Status::NotSupp);
        let mut other_period = set_params_request();
        other_period[12] = 1;
        assert_eq!(status(&other_period, &mut streams), Status::BadMsg);
        assert_eq!((streams[0].state, streams[0].params), (State::Initial, None));
    }

    proptest! {
        #[test]
        fn any_sequence_of_bytes_gets_an_answer_that_fits(
            requests in prop::collection::vec(
                (prop::sample::select(vec![1, 2, 0x100, 0x101, 0x102, 0x103, 0x104, 0x105, 0x200, 0x300]),
                 prop::collection::vec(prop_oneof![0u32..3, any::<u32>()], 0..6),
                 4u64..100),
                1..20,
            ),
        ) {
            let mut streams = streams();
            for (code, rest, room) in requests {
                let bytes = words(&[&[code], &rest[..]].concat());
                let answer = answer(&bytes, room, &mut streams);
                prop_assert!(STATUS_BYTES + answer.payload.len() as u64 <= room);
            }
        }
    }
}
