//! Speakers, and the order of a frame's channels.

/// A speaker position.
///
/// VIRTIO 1.4, 5.14.6.7.1 "`VIRTIO_SND_R_CHMAP_INFO`", `VIRTIO_SND_CHMAP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Speaker {
    /// The only channel.
    Mono = 2,
    /// Front left.
    FrontLeft = 3,
    /// Front right.
    FrontRight = 4,
    /// Rear left.
    RearLeft = 5,
    /// Rear right.
    RearRight = 6,
    /// Front centre.
    FrontCenter = 7,
    /// Low frequency effects.
    LowFrequency = 8,
    /// Side left.
    SideLeft = 9,
    /// Side right.
    SideRight = 10,
}

impl Speaker {
    /// Returns the code that the driver reads.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

use Speaker::{
    FrontCenter, FrontLeft, FrontRight, LowFrequency, Mono, RearLeft, RearRight, SideLeft, SideRight,
};

/// The channel maps, one for each number of channels for which ALSA defines an order.
///
/// Programs in Linux guests assume ALSA's order whether or not they read the channel map.
pub const MAPS: [&[Speaker]; 5] = [
    &[Mono],
    &[FrontLeft, FrontRight],
    &[FrontLeft, FrontRight, RearLeft, RearRight],
    &[FrontLeft, FrontRight, RearLeft, RearRight, FrontCenter, LowFrequency],
    &[FrontLeft, FrontRight, RearLeft, RearRight, FrontCenter, LowFrequency, SideLeft, SideRight],
];

/// Returns the speakers of a frame with `channels` channels; `None` if there is no map.
pub fn channel_map(channels: u8) -> Option<&'static [Speaker]> {
    MAPS.into_iter().find(|map| map.len() == usize::from(channels))
}
