//! The fixed parts of the card: its streams, jacks, channel maps and number of control elements.

use crate::limits::MAX_CHANNELS;
use crate::options::Streams;
use crate::pcm;
use crate::speakers::{self, Speaker};
use crate::spec::{ChmapInfo, Config, INPUT, JackInfo, OUTPUT, PCM_FEATURE_XRUNS, PcmInfo};
use crate::stream::{Direction, Stream};

/// The function group of all streams and jacks. The guest sees one PCM device, in which the streams
/// of a direction are substreams.
const PCM_DEVICE: u32 = 0;

/// Position of the default device in a pin's default configuration (High Definition Audio 1.0a,
/// 7.3.3.31 "Configuration Default"). The field has the bits 23:20.
const DEFAULT_DEVICE_SHIFT: u32 = 20;
const LINE_OUT: u32 = 0x0;
const MICROPHONE: u32 = 0xa;

/// The pin can be an output or an input (High Definition Audio 1.0a, 7.3.4.9 "Pin Capabilities").
const PIN_OUT: u32 = 1 << 4;
const PIN_IN: u32 = 1 << 5;

/// The number of control elements of each stream: a volume and a switch.
pub(crate) const ELEMENTS_PER_STREAM: usize = 2;

/// The parts of the card, as the command line chooses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topology {
    pub(crate) streams: Streams,
    /// Whether control elements are offered.
    pub(crate) controls: bool,
}

impl Topology {
    /// Returns the directions of all streams by stream number. Streams that play come first.
    fn directions(self) -> impl Iterator<Item = Direction> {
        let outputs = (0..self.streams.outputs).map(|_| Direction::Output);
        outputs.chain((0..self.streams.inputs).map(|_| Direction::Input))
    }

    /// Returns all streams in their initial state.
    pub(crate) fn streams(self) -> Vec<Stream> {
        self.directions().map(Stream::new).collect()
    }

    /// Returns the device configuration.
    pub(crate) fn config(self) -> Config {
        let count = |items: usize| u32::try_from(items).unwrap_or(u32::MAX).into();
        Config {
            jacks: count(self.jack_infos().len()),
            streams: count(self.directions().count()),
            chmaps: count(self.chmap_infos().len()),
            controls: count(if self.controls { self.directions().count() * ELEMENTS_PER_STREAM } else { 0 }),
        }
    }

    /// Returns the information about all streams.
    pub(crate) fn pcm_infos(self) -> Vec<PcmInfo> {
        let info = |direction| PcmInfo {
            hda_fn_nid: PCM_DEVICE.into(),
            features: PCM_FEATURE_XRUNS.into(),
            formats: pcm::formats().into(),
            rates: pcm::rates().into(),
            direction: code(direction),
            channels_min: 1,
            channels_max: MAX_CHANNELS,
            padding: [0; 5],
        };
        self.directions().map(info).collect()
    }

    /// Returns the directions that have streams.
    fn used(self) -> impl Iterator<Item = Direction> {
        let Streams { outputs, inputs } = self.streams;
        let directions = [(Direction::Output, outputs), (Direction::Input, inputs)];
        directions.into_iter().filter(|(_, streams)| *streams > 0).map(|(direction, _)| direction)
    }

    /// Returns the information about all jacks: one for each direction, permanently connected.
    ///
    /// Some guests route audio only to connected jacks.
    pub(crate) fn jack_infos(self) -> Vec<JackInfo> {
        self.used().map(jack_info).collect()
    }

    /// Returns the channel maps of each direction.
    pub(crate) fn chmap_infos(self) -> Vec<ChmapInfo> {
        self.used().flat_map(|direction| speakers::MAPS.map(|map| chmap_info(direction, map))).collect()
    }
}

fn jack_info(direction: Direction) -> JackInfo {
    let (device, capability) = match direction {
        Direction::Output => (LINE_OUT, PIN_OUT),
        Direction::Input => (MICROPHONE, PIN_IN),
    };
    JackInfo {
        hda_fn_nid: PCM_DEVICE.into(),
        features: 0.into(),
        hda_reg_defconf: (device << DEFAULT_DEVICE_SHIFT).into(),
        hda_reg_caps: capability.into(),
        connected: 1,
        padding: [0; 7],
    }
}

fn chmap_info(direction: Direction, map: &[Speaker]) -> ChmapInfo {
    let mut positions = [0; 18];
    for (position, speaker) in positions.iter_mut().zip(map) {
        *position = speaker.code();
    }
    ChmapInfo {
        hda_fn_nid: PCM_DEVICE.into(),
        direction: code(direction),
        // No map has more than eight channels.
        channels: u8::try_from(map.len()).unwrap_or(u8::MAX),
        positions,
    }
}

const fn code(direction: Direction) -> u8 {
    match direction {
        Direction::Output => OUTPUT,
        Direction::Input => INPUT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(outputs: u8, inputs: u8) -> Topology {
        Topology { streams: Streams { outputs, inputs }, controls: true }
    }

    #[test]
    fn the_configuration_counts_the_items_that_can_be_queried() {
        for (outputs, inputs, expected) in
            [(1, 1, (2, 2, 10)), (3, 0, (1, 3, 5)), (0, 2, (1, 2, 5)), (8, 8, (2, 16, 10))]
        {
            let config = topology(outputs, inputs).config();
            assert_eq!((config.jacks.get(), config.streams.get(), config.chmaps.get()), expected);
            assert_eq!(config.controls.get(), 2 * config.streams.get());
        }
    }

    #[test]
    fn there_are_no_control_elements_unless_they_are_enabled() {
        assert_eq!(Topology { controls: false, ..topology(2, 2) }.config().controls.get(), 0);
    }

    #[test]
    fn streams_that_play_come_first() {
        let directions: Vec<u8> = topology(2, 1).pcm_infos().iter().map(|info| info.direction).collect();
        assert_eq!(directions, [OUTPUT, OUTPUT, INPUT]);
    }

    #[test]
    fn a_channel_map_has_the_order_of_alsa() {
        let map = topology(1, 0).chmap_infos()[3];
        assert_eq!((map.channels, map.direction), (6, OUTPUT));
        assert_eq!(map.positions, [3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
