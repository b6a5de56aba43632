//! Control elements: what an application in the guest can turn and switch.
//!
//! Each stream has a volume and a switch. This is a function from requests to answers, like
//! [`control`](super); what is turned takes effect through each stream's [`Level`].

use std::sync::Arc;

use tracing::debug;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::{Answer, STATUS_BYTES, parse, select};
use crate::audio::Level;
use crate::card::topology::ELEMENTS_PER_STREAM;
use crate::spec::{
    CtlHeader, CtlInfo, CtlValue, Status, TlvDbScale, ctl_access, ctl_role, ctl_type, request,
};
use crate::stream::{Direction, Stream};

/// The loudest volume, at which audio is left as it is.
const MAX_VOLUME: u8 = 100;

/// How much louder each step is, in hundredths of a decibel.
const STEP: u8 = 50;

/// How loud the least volume would be if it were not silence, in hundredths of a decibel.
const LEAST: i32 = -(MAX_VOLUME as i32) * STEP as i32;

/// In TLVs: the least value is silence.
const MUTE_AT_LEAST: u32 = 1 << 16;

/// All elements: a volume and a switch for each stream.
#[derive(Debug)]
pub(crate) struct Elements(Vec<Element>);

#[derive(Debug)]
struct Element {
    name: &'static str,
    /// The number of the stream among those of its direction.
    index: u32,
    kind: Kind,
    value: u32,
    level: Arc<Level>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Volume,
    Switch,
}

impl Kind {
    const fn max(self) -> u32 {
        match self {
            Self::Volume => MAX_VOLUME as u32,
            Self::Switch => 1,
        }
    }
}

/// The elements of a stream.
const KINDS: [Kind; ELEMENTS_PER_STREAM] = [Kind::Volume, Kind::Switch];

impl Elements {
    /// Elements for `streams`, which act on `levels`. All is as loud as it can be.
    pub(crate) fn new(streams: &[Stream], levels: &[Arc<Level>]) -> Self {
        let mut elements = Vec::new();
        for (number, (stream, level)) in streams.iter().zip(levels).enumerate() {
            let before = &streams[..number];
            let index = before.iter().filter(|before| before.direction == stream.direction).count();
            for kind in KINDS {
                elements.push(Element {
                    name: name(stream.direction, kind),
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                    kind,
                    value: kind.max(),
                    level: level.clone(),
                });
            }
        }
        Self(elements)
    }

    /// Answers a request about elements, and tells which one has changed.
    pub(crate) fn answer(&mut self, code: u32, bytes: &[u8], room: u64) -> (Answer, Option<u16>) {
        let answer = match code {
            request::CTL_INFO => self.info(bytes, room),
            request::CTL_READ => self.read(bytes, room),
            request::CTL_WRITE => return self.write(bytes),
            request::TLV_READ => self.read_tlv(bytes, room),
            // No element has items, or a TLV that can be changed.
            request::CTL_ENUM_ITEMS | request::TLV_WRITE | request::TLV_COMMAND => Status::NotSupp.into(),
            _ => Status::BadMsg.into(),
        };
        (answer, None)
    }

    fn info(&self, bytes: &[u8], room: u64) -> Answer {
        match select(bytes, room, &self.0) {
            Some((elements, size)) => {
                let payload = elements.iter().flat_map(|element| element.info().laid_out_for(size));
                Answer { payload: payload.collect(), ..Status::Ok.into() }
            }
            None => Status::BadMsg.into(),
        }
    }

    fn read(&self, bytes: &[u8], room: u64) -> Answer {
        match self.find(bytes) {
            Some((_, element)) if room >= STATUS_BYTES + size_of::<CtlValue>() as u64 => {
                let mut value = CtlValue::new_zeroed();
                value.integers[0] = element.value.into();
                Answer { payload: value.as_bytes().to_vec(), ..Status::Ok.into() }
            }
            _ => Status::BadMsg.into(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> (Answer, Option<u16>) {
        let value = bytes.get(size_of::<CtlHeader>()..).and_then(parse::<CtlValue>);
        let (Some((id, element)), Some(value)) = (self.find(bytes), value) else {
            return (Status::BadMsg.into(), None);
        };
        let (max, old, new) = (element.kind.max(), element.value, value.integers[0].get());
        if new > max {
            debug!(element = id, new, max, "value refused");
            return (Status::BadMsg.into(), None);
        }
        if let Some(element) = self.0.get_mut(id) {
            element.value = new;
            debug!(element = id, name = element.name, new);
            match element.kind {
                Kind::Volume => element.level.set_gain(gain(new)),
                Kind::Switch => element.level.set_on(new != 0),
            }
        }
        // There are far fewer than 2^16.
        (Status::Ok.into(), u16::try_from(id).ok().filter(|_| new != old))
    }

    fn read_tlv(&self, bytes: &[u8], room: u64) -> Answer {
        match self.find(bytes) {
            Some((_, Element { kind: Kind::Volume, .. })) => {
                let scale = TlvDbScale::new(LEAST, u32::from(STEP) | MUTE_AT_LEAST);
                let room = usize::try_from(room - STATUS_BYTES).unwrap_or(usize::MAX);
                let payload = scale.as_bytes().iter().copied().take(room).collect();
                Answer { payload, ..Status::Ok.into() }
            }
            Some(_) => Status::NotSupp.into(),
            None => Status::BadMsg.into(),
        }
    }

    /// The element that a request is about.
    fn find(&self, bytes: &[u8]) -> Option<(usize, &Element)> {
        let header: CtlHeader = parse(bytes)?;
        let id = usize::try_from(header.control_id.get()).ok()?;
        self.0.get(id).map(|element| (id, element))
    }
}

impl Element {
    fn info(&self) -> CtlInfo {
        let (role, kind, tlv) = match self.kind {
            Kind::Volume => (ctl_role::VOLUME, ctl_type::INTEGER, ctl_access::TLV_READ),
            Kind::Switch => (ctl_role::MUTE, ctl_type::BOOLEAN, 0),
        };
        let mut info = CtlInfo::new_zeroed();
        info.role = role.into();
        info.kind = kind.into();
        info.access = (ctl_access::READ | ctl_access::WRITE | tlv).into();
        info.count = 1.into();
        info.index = self.index.into();
        for (to, from) in info.name.iter_mut().zip(self.name.bytes()) {
            *to = from;
        }
        info.range = [0, self.kind.max(), 1].map(Into::into);
        info
    }
}

/// The names by which mixers know what an element is for.
const fn name(direction: Direction, kind: Kind) -> &'static str {
    match (direction, kind) {
        (Direction::Output, Kind::Volume) => "Master Playback Volume",
        (Direction::Output, Kind::Switch) => "Master Playback Switch",
        (Direction::Input, Kind::Volume) => "Capture Volume",
        (Direction::Input, Kind::Switch) => "Capture Switch",
    }
}

/// What a sample is multiplied with at a volume.
fn gain(volume: u32) -> f64 {
    if volume == 0 {
        return 0.0;
    }
    let decibels = (f64::from(volume) - f64::from(MAX_VOLUME)) * f64::from(STEP) / 100.0;
    10f64.powf(decibels / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLENTY: u64 = 4096;

    fn elements() -> (Elements, Vec<Arc<Level>>) {
        let streams = [Direction::Output, Direction::Output, Direction::Input].map(Stream::new);
        let levels: Vec<Arc<Level>> = (0..3).map(|_| Arc::default()).collect();
        (Elements::new(&streams, &levels), levels)
    }

    fn request(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn write(elements: &mut Elements, id: u32, value: u32) -> (Status, Option<u16>) {
        let mut bytes = request(&[request::CTL_WRITE, id, value]);
        bytes.resize(8 + 512, 0);
        let (answer, changed) = elements.answer(request::CTL_WRITE, &bytes, PLENTY);
        (answer.status, changed)
    }

    fn read(elements: &mut Elements, id: u32) -> u32 {
        let (answer, _) = elements.answer(request::CTL_READ, &request(&[request::CTL_READ, id]), 4 + 512);
        assert_eq!((answer.status, answer.payload.len()), (Status::Ok, 512));
        u32::from_le_bytes(answer.payload[..4].try_into().unwrap())
    }

    #[test]
    fn each_stream_has_a_volume_and_a_switch_with_a_name_and_an_index_of_their_own() {
        let (elements, _) = elements();
        let names: Vec<_> = elements.0.iter().map(|element| (element.name, element.index)).collect();
        let expected = [
            ("Master Playback Volume", 0),
            ("Master Playback Switch", 0),
            ("Master Playback Volume", 1),
            ("Master Playback Switch", 1),
            ("Capture Volume", 0),
            ("Capture Switch", 0),
        ];
        assert_eq!(names, expected);
        assert_eq!(elements.0.len(), 3 * ELEMENTS_PER_STREAM);
    }

    #[test]
    fn the_range_is_where_the_driver_expects_it() {
        let (mut elements, _) = elements();
        for (size, at) in [(96, 72), (92, 68), (128, 72)] {
            let query = request(&[request::CTL_INFO, 0, 1, size]);
            let (answer, _) = elements.answer(request::CTL_INFO, &query, PLENTY);
            assert_eq!((answer.status, answer.payload.len()), (Status::Ok, size as usize));
            assert_eq!(answer.payload[24..46], *b"Master Playback Volume");
            assert_eq!(answer.payload[at..at + 12], request(&[0, 100, 1]));
        }
    }

    #[test]
    fn what_is_written_is_read_and_takes_effect() {
        let (mut elements, levels) = elements();
        assert_eq!((read(&mut elements, 2), levels[1].gain()), (100, 1.0));
        assert_eq!(write(&mut elements, 2, 60), (Status::Ok, Some(2)));
        assert_eq!(read(&mut elements, 2), 60);
        assert!((levels[1].gain() - 0.1).abs() < 1e-9, "20 dB");
        assert_eq!(levels[0].gain(), 1.0);
        assert_eq!(write(&mut elements, 3, 0), (Status::Ok, Some(3)));
        assert_eq!(levels[1].gain(), 0.0);
        assert_eq!(write(&mut elements, 3, 1), (Status::Ok, Some(3)));
        assert!((levels[1].gain() - 0.1).abs() < 1e-9, "as before");
    }

    #[test]
    fn only_a_change_is_told() {
        let (mut elements, _) = elements();
        assert_eq!(write(&mut elements, 0, 100), (Status::Ok, None));
        assert_eq!(write(&mut elements, 0, 99), (Status::Ok, Some(0)));
        assert_eq!(write(&mut elements, 0, 99), (Status::Ok, None));
    }

    #[test]
    fn what_is_out_of_range_or_cut_short_is_refused_and_changes_nothing() {
        let (mut elements, _) = elements();
        assert_eq!(write(&mut elements, 0, 101), (Status::BadMsg, None));
        assert_eq!(write(&mut elements, 1, 2), (Status::BadMsg, None));
        assert_eq!(write(&mut elements, 6, 0), (Status::BadMsg, None));
        let short = request(&[request::CTL_WRITE, 0, 5]);
        assert_eq!(elements.answer(request::CTL_WRITE, &short, PLENTY).0.status, Status::BadMsg);
        let query = request(&[request::CTL_READ, 0]);
        assert_eq!(elements.answer(request::CTL_READ, &query, 4 + 511).0.status, Status::BadMsg);
        assert_eq!((read(&mut elements, 0), read(&mut elements, 1)), (100, 1));
    }

    #[test]
    fn a_volume_says_how_loud_it_is_and_a_switch_does_not() {
        let (mut elements, _) = elements();
        let mut tlv =
            |id, room| elements.answer(request::TLV_READ, &request(&[request::TLV_READ, id]), room).0;
        let scale = request(&[1, 8, (-5000i32).cast_unsigned(), 50 | 1 << 16]);
        assert_eq!((tlv(0, PLENTY).status, tlv(0, PLENTY).payload), (Status::Ok, scale.clone()));
        assert_eq!(tlv(0, 12).payload, scale[..8]);
        assert_eq!(tlv(1, PLENTY).status, Status::NotSupp);
        assert_eq!(tlv(99, PLENTY).status, Status::BadMsg);
    }
}
