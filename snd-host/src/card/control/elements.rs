//! Control elements: a volume and a switch for each stream.

use std::sync::Arc;

use tracing::debug;
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::answer::{Answer, Effect, STATUS_BYTES};
use super::control_request::ControlRequest;
use crate::audio::Level;
use crate::card::topology::ELEMENTS_PER_STREAM;
use crate::spec::{CtlHeader, CtlInfo, CtlValue, Status, TlvDbScale, ctl_access, ctl_role, ctl_type};
use crate::stream::{Direction, Stream};

/// The largest volume, at which audio is not attenuated.
const MAX_VOLUME: u8 = 100;

/// The step between volumes, in hundredths of a decibel.
const STEP: u8 = 50;

/// The level that the smallest volume would have if it were not silence, in hundredths of a
/// decibel.
const MIN_LEVEL: i32 = -(MAX_VOLUME as i32) * STEP as i32;

/// The bit in the step of a [`TlvDbScale`] that says: the smallest value is silence.
const MUTE_AT_MIN: u32 = 1 << 16;

/// The control elements of all streams.
#[derive(Debug)]
pub(crate) struct Elements(Vec<Element>);

#[derive(Debug)]
struct Element {
    name: &'static str,
    /// The number of the stream among the streams of its direction.
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
    /// Creates the elements of `streams`, which set `levels`. Each value is at its maximum.
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

    /// Answers CTL_INFO.
    pub(super) fn info(&self, request: ControlRequest<'_>) -> Answer {
        match request.select(&self.0) {
            Some((elements, size)) => {
                let payload = elements.iter().flat_map(|element| element.info().laid_out_for(size));
                Answer { payload: payload.collect(), ..Status::Ok.into() }
            }
            None => Status::BadMsg.into(),
        }
    }

    /// Answers CTL_READ.
    pub(super) fn read(&self, request: ControlRequest<'_>) -> Answer {
        match self.find(request) {
            Some((_, element)) if request.room >= STATUS_BYTES + size_of::<CtlValue>() as u64 => {
                let mut value = CtlValue::new_zeroed();
                value.integers[0] = element.value.into();
                Answer { payload: value.as_bytes().to_vec(), ..Status::Ok.into() }
            }
            _ => Status::BadMsg.into(),
        }
    }

    /// Answers CTL_WRITE.
    pub(super) fn write(&mut self, request: ControlRequest<'_>) -> Answer {
        let value = request.after::<CtlHeader>().and_then(|rest| rest.parse::<CtlValue>());
        let (Some((id, element)), Some(value)) = (self.find(request), value) else {
            return Status::BadMsg.into();
        };
        let (max, old, new) = (element.kind.max(), element.value, value.integers[0].get());
        if new > max {
            debug!(element = id, new, max, "value refused");
            return Status::BadMsg.into();
        }
        if let Some(element) = self.0.get_mut(id) {
            element.value = new;
            debug!(element = id, name = element.name, new);
            match element.kind {
                Kind::Volume => element.level.set_gain(gain(new)),
                Kind::Switch => element.level.set_on(new != 0),
            }
        }
        // There are far fewer than 2^16 elements.
        let changed = u16::try_from(id).ok().filter(|_| new != old);
        Answer { effect: changed.map(Effect::ElementChanged), ..Status::Ok.into() }
    }

    /// Answers TLV_READ.
    pub(super) fn read_tlv(&self, request: ControlRequest<'_>) -> Answer {
        match self.find(request) {
            Some((_, Element { kind: Kind::Volume, .. })) => {
                let scale = TlvDbScale::new(MIN_LEVEL, u32::from(STEP) | MUTE_AT_MIN);
                let room = usize::try_from(request.room - STATUS_BYTES).unwrap_or(usize::MAX);
                let payload = scale.as_bytes().iter().copied().take(room).collect();
                Answer { payload, ..Status::Ok.into() }
            }
            Some((_, Element { kind: Kind::Switch, .. })) => Status::NotSupp.into(),
            None => Status::BadMsg.into(),
        }
    }

    /// Returns the element that a request names.
    fn find(&self, request: ControlRequest<'_>) -> Option<(usize, &Element)> {
        let header: CtlHeader = request.parse()?;
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

/// Returns the name by which mixers recognise an element.
const fn name(direction: Direction, kind: Kind) -> &'static str {
    match (direction, kind) {
        (Direction::Output, Kind::Volume) => "Master Playback Volume",
        (Direction::Output, Kind::Switch) => "Master Playback Switch",
        (Direction::Input, Kind::Volume) => "Capture Volume",
        (Direction::Input, Kind::Switch) => "Capture Switch",
    }
}

/// Returns the factor by which samples are multiplied at a volume.
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
    use crate::spec::request as code;

    const PLENTY: u64 = 4096;

    fn elements() -> (Elements, Vec<Arc<Level>>) {
        let streams = [Direction::Output, Direction::Output, Direction::Input].map(Stream::new);
        let levels: Vec<Arc<Level>> = (0..3).map(|_| Arc::default()).collect();
        (Elements::new(&streams, &levels), levels)
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn write(elements: &mut Elements, id: u32, value: u32) -> (Status, Option<u16>) {
        let mut bytes = words(&[code::CTL_WRITE, id, value]);
        bytes.resize(8 + 512, 0);
        let answer = elements.write(ControlRequest { bytes: &bytes, room: PLENTY });
        let changed = answer.effect.map(|effect| match effect {
            Effect::ElementChanged(id) => id,
            Effect::Take { .. } => panic!("a write changes no take"),
        });
        (answer.status, changed)
    }

    fn read(elements: &Elements, id: u32) -> u32 {
        let answer = elements.read(ControlRequest { bytes: &words(&[code::CTL_READ, id]), room: 4 + 512 });
        assert_eq!((answer.status, answer.payload.len()), (Status::Ok, 512));
        u32::from_le_bytes(answer.payload[..4].try_into().unwrap())
    }

    #[test]
    fn each_stream_has_a_volume_and_a_switch_with_unique_names() {
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
        let (elements, _) = elements();
        for (size, at) in [(96, 72), (92, 68), (128, 72)] {
            let query = words(&[code::CTL_INFO, 0, 1, size]);
            let answer = elements.info(ControlRequest { bytes: &query, room: PLENTY });
            assert_eq!((answer.status, answer.payload.len()), (Status::Ok, size as usize));
            assert_eq!(answer.payload[24..46], *b"Master Playback Volume");
            assert_eq!(answer.payload[at..at + 12], words(&[0, 100, 1]));
        }
    }

    #[test]
    fn a_written_value_is_read_back_and_takes_effect() {
        let (mut elements, levels) = elements();
        assert_eq!((read(&elements, 2), levels[1].gain()), (100, 1.0));
        assert_eq!(write(&mut elements, 2, 60), (Status::Ok, Some(2)));
        assert_eq!(read(&elements, 2), 60);
        assert!((levels[1].gain() - 0.1).abs() < 1e-9, "20 dB");
        assert_eq!(levels[0].gain(), 1.0);
        assert_eq!(write(&mut elements, 3, 0), (Status::Ok, Some(3)));
        assert_eq!(levels[1].gain(), 0.0);
        assert_eq!(write(&mut elements, 3, 1), (Status::Ok, Some(3)));
        assert!((levels[1].gain() - 0.1).abs() < 1e-9, "as before");
    }

    #[test]
    fn only_a_new_value_is_notified() {
        let (mut elements, _) = elements();
        assert_eq!(write(&mut elements, 0, 100), (Status::Ok, None));
        assert_eq!(write(&mut elements, 0, 99), (Status::Ok, Some(0)));
        assert_eq!(write(&mut elements, 0, 99), (Status::Ok, None));
    }

    #[test]
    fn an_invalid_or_truncated_request_changes_nothing() {
        let (mut elements, _) = elements();
        assert_eq!(write(&mut elements, 0, 101), (Status::BadMsg, None));
        assert_eq!(write(&mut elements, 1, 2), (Status::BadMsg, None));
        assert_eq!(write(&mut elements, 6, 0), (Status::BadMsg, None));
        let short = words(&[code::CTL_WRITE, 0, 5]);
        assert_eq!(elements.write(ControlRequest { bytes: &short, room: PLENTY }).status, Status::BadMsg);
        let query = words(&[code::CTL_READ, 0]);
        assert_eq!(elements.read(ControlRequest { bytes: &query, room: 4 + 511 }).status, Status::BadMsg);
        assert_eq!((read(&elements, 0), read(&elements, 1)), (100, 1));
    }

    #[test]
    fn a_volume_has_a_decibel_scale_and_a_switch_has_none() {
        let (elements, _) = elements();
        let tlv = |id, room| elements.read_tlv(ControlRequest { bytes: &words(&[code::TLV_READ, id]), room });
        let scale = words(&[1, 8, (-5000i32).cast_unsigned(), 50 | 1 << 16]);
        assert_eq!((tlv(0, PLENTY).status, tlv(0, PLENTY).payload), (Status::Ok, scale.clone()));
        assert_eq!(tlv(0, 12).payload, scale[..8]);
        assert_eq!(tlv(1, PLENTY).status, Status::NotSupp);
        assert_eq!(tlv(99, PLENTY).status, Status::BadMsg);
    }
}
