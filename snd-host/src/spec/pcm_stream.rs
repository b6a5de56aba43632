//! PCM streams: what they can do, and what is asked of them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U32, U64};

/// The stream tells of underruns and overruns (5.14.6.6 "PCM Control Messages").
pub const PCM_FEATURE_XRUNS: u32 = 1 << 4;

/// The direction of a stream that plays (5.14.6 "Device Operation").
pub const OUTPUT: u8 = 0;
/// The direction of a stream that records.
pub const INPUT: u8 = 1;

/// Asks something of one stream (5.14.6.6 "PCM Control Messages").
#[doc(alias = "virtio_snd_pcm_hdr")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmHeader {
    /// The request's code.
    pub code: U32<LE>,
    /// Which stream.
    pub stream_id: U32<LE>,
}
const _: () = assert!(size_of::<PcmHeader>() == 8);

/// What a stream can do (5.14.6.6 "PCM Control Messages", `VIRTIO_SND_R_PCM_INFO`).
#[doc(alias = "virtio_snd_pcm_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmInfo {
    /// Which streams belong together: those with the same number are one PCM device.
    pub hda_fn_nid: U32<LE>,
    /// Bit map of optional features.
    pub features: U32<LE>,
    /// Bit map of sample formats.
    pub formats: U64<LE>,
    /// Bit map of frame rates.
    pub rates: U64<LE>,
    /// Whether the stream plays or records.
    pub direction: u8,
    /// The fewest channels.
    pub channels_min: u8,
    /// The most channels.
    pub channels_max: u8,
    /// Zero.
    pub padding: [u8; 5],
}
const _: () = assert!(size_of::<PcmInfo>() == 32);

/// Which speaker each channel is for (5.14.6.7.1 "`VIRTIO_SND_R_CHMAP_INFO`").
#[doc(alias = "virtio_snd_chmap_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ChmapInfo {
    /// The PCM device that has this map.
    pub hda_fn_nid: U32<LE>,
    /// Whether it is for streams that play or record.
    pub direction: u8,
    /// For how many channels it is.
    pub channels: u8,
    /// The speakers.
    pub positions: [u8; 18],
}
const _: () = assert!(size_of::<ChmapInfo>() == 24);

/// Chooses a stream's parameters (5.14.6.6 "PCM Control Messages", `VIRTIO_SND_R_PCM_SET_PARAMS`).
#[doc(alias = "virtio_snd_pcm_set_params")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmSetParams {
    /// Which stream.
    pub header: PcmHeader,
    /// Size of the driver's buffer.
    pub buffer_bytes: U32<LE>,
    /// Size of a part of it, and so of a message.
    pub period_bytes: U32<LE>,
    /// Bit map of the optional features that the driver wants.
    pub features: U32<LE>,
    /// Number of channels.
    pub channels: u8,
    /// Number of the sample format.
    pub format: u8,
    /// Number of the frame rate.
    pub rate: u8,
    /// Zero.
    pub padding: u8,
}
const _: () = assert!(size_of::<PcmSetParams>() == 24);

/// The head of an I/O message (5.14.6.8 "PCM I/O Messages").
#[doc(alias = "virtio_snd_pcm_xfer")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmTransfer {
    /// Which stream.
    pub stream_id: U32<LE>,
}
const _: () = assert!(size_of::<PcmTransfer>() == 4);

/// The end of an I/O message (5.14.6.8 "PCM I/O Messages").
#[doc(alias = "virtio_snd_pcm_status")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmStatus {
    /// How it went.
    pub status: U32<LE>,
    /// How far, in bytes, what is heard is behind what was completed.
    pub latency_bytes: U32<LE>,
}
const _: () = assert!(size_of::<PcmStatus>() == 8);
