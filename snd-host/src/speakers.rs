//! Which speaker a channel is for.

/// A speaker, by its number in the standard.
///
/// VIRTIO 1.4, 5.14.6.7.1 "VIRTIO_SND_R_CHMAP_INFO", `VIRTIO_SND_CHMAP_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Speaker {
    Mono = 2,
    FrontLeft = 3,
    FrontRight = 4,
    RearLeft = 5,
    RearRight = 6,
    FrontCenter = 7,
    LowFrequency = 8,
    SideLeft = 9,
    SideRight = 10,
}

impl Speaker {
    /// As the driver takes it.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

use Speaker::{
    FrontCenter, FrontLeft, FrontRight, LowFrequency, Mono, RearLeft, RearRight, SideLeft, SideRight,
};

/// The channels of a frame, for every number of channels for which ALSA has an order. It is the one that
/// programs in Linux guests take for granted, whether they ask for the map or not.
pub(crate) const MAPS: [&[Speaker]; 5] = [
    &[Mono],
    &[FrontLeft, FrontRight],
    &[FrontLeft, FrontRight, RearLeft, RearRight],
    &[FrontLeft, FrontRight, RearLeft, RearRight, FrontCenter, LowFrequency],
    &[FrontLeft, FrontRight, RearLeft, RearRight, FrontCenter, LowFrequency, SideLeft, SideRight],
];

/// The speakers of a frame with so many channels, if they are known.
pub(crate) fn of(channels: u8) -> Option<&'static [Speaker]> {
    MAPS.into_iter().find(|map| map.len() == usize::from(channels))
}
