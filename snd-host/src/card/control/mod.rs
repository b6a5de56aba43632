//! The answers to control requests.
//!
//! [`answer`] maps the bytes of a request and the state of the card to an [`Answer`]. The answer
//! names the effect that the caller has to carry out before it sends the answer. This module itself
//! only changes the state of the card.

mod answer;
mod control_request;
mod elements;
mod pcm_requests;

use self::pcm_requests::{command, set_params};
use super::topology::Topology;
use crate::spec::{Status, request as code};
use crate::stream::{Command, Stream};

pub(crate) use self::answer::{Answer, STATUS_BYTES};
pub(super) use self::answer::{Change, Effect};
pub(crate) use self::control_request::{ControlRequest, MAX_REQUEST};
pub(super) use self::elements::Elements;

/// Answers a request. `elements` are present if the driver has negotiated control elements.
pub(super) fn answer(
    request: ControlRequest<'_>,
    topology: Topology,
    streams: &mut [Stream],
    elements: Option<&mut Elements>,
) -> Answer {
    let Some(code) = request.code() else {
        return Status::BadMsg.into();
    };
    match (code, elements) {
        (code::JACK_INFO, _) => request.info(&topology.jack_infos()),
        (code::PCM_INFO, _) => request.info(&topology.pcm_infos()),
        (code::CHMAP_INFO, _) => request.info(&topology.chmap_infos()),
        (code::PCM_SET_PARAMS, _) => set_params(request, streams),
        (code::PCM_PREPARE, _) => command(request, Command::Prepare, streams),
        (code::PCM_START, _) => command(request, Command::Start, streams),
        (code::PCM_STOP, _) => command(request, Command::Stop, streams),
        (code::PCM_RELEASE, _) => command(request, Command::Release, streams),
        (code::CTL_INFO, Some(elements)) => elements.info(request),
        (code::CTL_READ, Some(elements)) => elements.read(request),
        (code::CTL_WRITE, Some(elements)) => elements.write(request),
        (code::TLV_READ, Some(elements)) => elements.read_tlv(request),
        // No jack can be remapped. No element has items, or metadata that can be set.
        _ => Status::NotSupp.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use zerocopy::{FromBytes as _, IntoBytes as _};

    use super::*;
    use crate::options::Streams;
    use crate::pcm::Params;
    use crate::spec::{PcmHeader, PcmSetParams, QueryInfo};
    use crate::stream::State;

    const PLENTY: u64 = 4096;

    /// One stream that plays and one that records.
    const TOPOLOGY: Topology = Topology { streams: Streams { outputs: 1, inputs: 1 }, controls: false };

    fn streams() -> Vec<Stream> {
        TOPOLOGY.streams()
    }

    fn answer(bytes: &[u8], room: u64, streams: &mut [Stream]) -> Answer {
        super::answer(ControlRequest { bytes, room }, TOPOLOGY, streams, None)
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// SET_PARAMS for S16 stereo at 48 kHz.
    fn set_params_request() -> Vec<u8> {
        words(&[code::PCM_SET_PARAMS, 0, 7680, 1920, 0, 0x0007_0502])
    }

    fn status(bytes: &[u8], streams: &mut [Stream]) -> Status {
        answer(bytes, PLENTY, streams).status
    }

    #[test]
    fn pcm_info_describes_every_stream() {
        let answer = answer(&words(&[code::PCM_INFO, 0, 2, 32]), 68, &mut streams());
        assert_eq!((answer.status, &answer.payload[..]), (Status::Ok, TOPOLOGY.pcm_infos().as_bytes()));
    }

    #[test]
    fn an_item_is_truncated_or_padded_to_the_size_that_the_driver_knows() {
        let info = |size| answer(&words(&[code::PCM_INFO, 0, 1, size]), PLENTY, &mut streams()).payload;
        assert_eq!(info(8), TOPOLOGY.pcm_infos()[0].as_bytes()[..8]);
        assert_eq!(info(40), [TOPOLOGY.pcm_infos()[0].as_bytes(), &[0; 8]].concat());
        assert_eq!(info(0), [0u8; 0]);
    }

    #[test]
    fn a_query_succeeds_exactly_if_its_range_exists_and_the_answer_fits() {
        for (code, start, count, size, room, expected) in [
            (code::PCM_INFO, 0, 0, 32, 4, Status::Ok),
            (code::PCM_INFO, 2, 0, 32, 4, Status::Ok),
            (code::PCM_INFO, 3, 0, 32, 4, Status::BadMsg),
            (code::PCM_INFO, 0, 1, 32, 35, Status::BadMsg),
            (code::PCM_INFO, 0, 3, 32, PLENTY, Status::BadMsg),
            (code::PCM_INFO, 2, 1, 32, PLENTY, Status::BadMsg),
            (code::PCM_INFO, u32::MAX, u32::MAX, 32, PLENTY, Status::BadMsg),
            (code::PCM_INFO, 0, 1, u32::MAX, u64::MAX, Status::BadMsg),
            (code::JACK_INFO, 0, 0, 24, 4, Status::Ok),
            (code::JACK_INFO, 0, 2, 24, 52, Status::Ok),
            (code::JACK_INFO, 0, 3, 24, PLENTY, Status::BadMsg),
            (code::CHMAP_INFO, 0, 10, 24, 244, Status::Ok),
            (code::CHMAP_INFO, 0, 11, 24, PLENTY, Status::BadMsg),
        ] {
            let bytes = words(&[code, start, count, size]);
            let answer = answer(&bytes, room, &mut streams());
            assert_eq!(answer.status, expected, "{code:#x} {start} {count} {size} {room}");
            assert!(STATUS_BYTES + answer.payload.len() as u64 <= room);
        }
    }

    #[test]
    fn requests_that_are_not_offered_are_not_supported() {
        for code in [0, code::JACK_REMAP, 0x106, 0x300, 0x301, 0x303, 0x306, u32::MAX] {
            assert_eq!(status(&words(&[code, 0, 0, 0, 0, 0]), &mut streams()), Status::NotSupp, "{code:#x}");
        }
    }

    #[test]
    fn a_truncated_request_is_a_bad_message_at_every_length() {
        for code in [
            code::PCM_INFO,
            code::PCM_SET_PARAMS,
            code::PCM_PREPARE,
            code::PCM_START,
            code::PCM_STOP,
            code::PCM_RELEASE,
        ] {
            let whole = match code {
                code::PCM_INFO => size_of::<QueryInfo>(),
                code::PCM_SET_PARAMS => size_of::<PcmSetParams>(),
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
            for code in code::PCM_SET_PARAMS..=code::PCM_STOP {
                let bytes = words(&[code, id, 7680, 1920, 0, 0x0007_0502]);
                assert_eq!(status(&bytes, &mut streams()), Status::BadMsg, "{code:#x} {id}");
            }
        }
    }

    #[test]
    fn each_request_from_set_params_to_release_changes_the_take() {
        let mut streams = streams();
        let mut effect = |bytes: &[u8]| answer(bytes, PLENTY, &mut streams).effect;
        let changed = |change| Some(Effect::Take { stream: 0, change });
        let params = Params::parse(&PcmSetParams::read_from_bytes(&set_params_request()).unwrap()).unwrap();
        assert_eq!(effect(&set_params_request()), changed(Change::End));
        assert_eq!(effect(&words(&[code::PCM_PREPARE, 0])), changed(Change::Prepare(params)));
        assert_eq!(effect(&words(&[code::PCM_START, 0])), changed(Change::Start));
        assert_eq!(effect(&words(&[code::PCM_STOP, 0])), changed(Change::Stop));
        assert_eq!(effect(&words(&[code::PCM_RELEASE, 0])), changed(Change::End));
    }

    #[test]
    fn a_refused_request_changes_nothing() {
        let mut streams = streams();
        for code in code::PCM_PREPARE..=code::PCM_STOP {
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
        fn each_sequence_of_requests_gets_answers_that_fit(
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
