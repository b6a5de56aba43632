//! The order of channels, which differs between the guest and GStreamer.

use gstreamer_audio::AudioChannelPosition as Position;

use crate::error::AudioError;
use snd_host::pcm::Params;
use snd_host::speakers::{self, Speaker};

/// The channels of a guest's frames.
#[derive(Clone, Debug)]
pub(crate) struct Channels {
    sample_bytes: usize,
    /// The speakers in the guest's order; empty if they are unknown.
    guest: Vec<Position>,
    /// The same speakers in GStreamer's order.
    host: Vec<Position>,
}

impl Channels {
    pub(crate) fn new(params: &Params) -> Result<Self, AudioError> {
        let known = speakers::channel_map(params.channels).unwrap_or_default();
        let guest: Vec<Position> = known.iter().copied().map(position).collect();
        let mut host = guest.clone();
        if !host.is_empty() {
            Position::positions_to_valid_order(&mut host).map_err(AudioError::Link)?;
        }
        Ok(Self { sample_bytes: params.sample_bytes(), guest, host })
    }

    /// Returns GStreamer's mask of the speakers. 0 means that they are unknown, which keeps
    /// GStreamer from mixing channels.
    pub(crate) fn mask(&self) -> u64 {
        Position::positions_to_mask(&self.host, true).unwrap_or(0)
    }

    /// Converts frames from the guest's order to GStreamer's.
    pub(crate) fn to_host(&self, frames: &mut [u8]) {
        reorder(frames, self.sample_bytes, &self.guest, &self.host);
    }

    /// Converts frames from GStreamer's order to the guest's.
    pub(crate) fn to_guest(&self, frames: &mut [u8]) {
        reorder(frames, self.sample_bytes, &self.host, &self.guest);
    }
}

/// Reorders the samples of each frame.
///
/// GStreamer's bindings have a function for this, but it multiplies the size of a sample by 8.
fn reorder(frames: &mut [u8], sample_bytes: usize, from: &[Position], to: &[Position]) {
    if from == to {
        return;
    }
    let mut old = vec![0; sample_bytes * from.len()];
    for frame in frames.chunks_exact_mut(old.len()) {
        old.copy_from_slice(frame);
        for (sample, position) in frame.chunks_exact_mut(sample_bytes).zip(to) {
            let samples = from.iter().zip(old.chunks_exact(sample_bytes));
            if let Some((_, old)) = samples.into_iter().find(|(from, _)| *from == position) {
                sample.copy_from_slice(old);
            }
        }
    }
}

const fn position(speaker: Speaker) -> Position {
    match speaker {
        Speaker::Mono => Position::Mono,
        Speaker::FrontLeft => Position::FrontLeft,
        Speaker::FrontRight => Position::FrontRight,
        Speaker::RearLeft => Position::RearLeft,
        Speaker::RearRight => Position::RearRight,
        Speaker::FrontCenter => Position::FrontCenter,
        Speaker::LowFrequency => Position::Lfe1,
        Speaker::SideLeft => Position::SideLeft,
        Speaker::SideRight => Position::SideRight,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(channels: u8) -> Channels {
        gstreamer::init().unwrap();
        Channels::new(&Params { channels, ..Params::USUAL }).unwrap()
    }

    /// Returns a frame of S16 with the given samples.
    fn frame(samples: &[u8]) -> Vec<u8> {
        samples.iter().flat_map(|sample| [*sample, 0]).collect()
    }

    #[test]
    fn a_surround_frame_is_converted_to_gstreamers_order_and_back() {
        for (count, guest, host) in [
            (6, &[1, 2, 3, 4, 5, 6][..], &[1, 2, 5, 6, 3, 4][..]),
            (8, &[1, 2, 3, 4, 5, 6, 7, 8], &[1, 2, 5, 6, 3, 4, 7, 8]),
            (4, &[1, 2, 3, 4], &[1, 2, 3, 4]),
            (5, &[1, 2, 3, 4, 5], &[1, 2, 3, 4, 5]),
            (1, &[1], &[1]),
        ] {
            let channels = channels(count);
            let mut audio = frame(guest);
            channels.to_host(&mut audio);
            assert_eq!(audio, frame(host));
            channels.to_guest(&mut audio);
            assert_eq!(audio, frame(guest));
        }
    }

    #[test]
    fn the_mask_has_the_speakers_if_they_are_known() {
        let masks = [1, 2, 3, 4, 5, 6, 7, 8].map(|count| channels(count).mask());
        assert_eq!(masks, [0, 0x3, 0, 0x33, 0, 0x3f, 0, 0xc3f]);
    }
}
