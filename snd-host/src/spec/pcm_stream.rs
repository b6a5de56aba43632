//! PCM streams: their capabilities, parameters and I/O messages.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U32, U64};

/// The stream reports underruns and overruns (VIRTIO 1.4, 5.14.6.6 "PCM Control Messages").
pub const PCM_FEATURE_XRUNS: u32 = 1 << 4;

/// The direction of a stream that plays (VIRTIO 1.4, 5.14.6 "Device Operation").
pub const OUTPUT: u8 = 0;
/// The direction of a stream that records.
pub const INPUT: u8 = 1;

/// The header of a request about one stream (VIRTIO 1.4, 5.14.6.6 "PCM Control Messages").
#[doc(alias = "virtio_snd_pcm_hdr")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmHeader {
    /// Code of the request.
    pub code: U32<LE>,
    /// Number of the stream.
    pub stream_id: U32<LE>,
}
const _: () = assert!(size_of::<PcmHeader>() == 8);

/// Information about a stream (VIRTIO 1.4, 5.14.6.6 "PCM Control Messages",
/// `VIRTIO_SND_R_PCM_INFO`).
#[doc(alias = "virtio_snd_pcm_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmInfo {
    /// The PCM device that the stream belongs to: streams with the same number form one device.
    pub hda_fn_nid: U32<LE>,
    /// Bit map of optional features.
    pub features: U32<LE>,
    /// Bit map of sample formats.
    pub formats: U64<LE>,
    /// Bit map of frame rates.
    pub rates: U64<LE>,
    /// [`OUTPUT`] or [`INPUT`].
    pub direction: u8,
    /// Smallest number of channels.
    pub channels_min: u8,
    /// Largest number of channels.
    pub channels_max: u8,
    /// Zero.
    pub padding: [u8; 5],
}
const _: () = assert!(size_of::<PcmInfo>() == 32);

/// A channel map: the speaker of each channel (VIRTIO 1.4, 5.14.6.7.1
/// "`VIRTIO_SND_R_CHMAP_INFO`").
#[doc(alias = "virtio_snd_chmap_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ChmapInfo {
    /// The PCM device that the map belongs to.
    pub hda_fn_nid: U32<LE>,
    /// [`OUTPUT`] or [`INPUT`].
    pub direction: u8,
    /// Number of channels.
    pub channels: u8,
    /// The speaker of each channel.
    pub positions: [u8; 18],
}
const _: () = assert!(size_of::<ChmapInfo>() == 24);

/// A request to set the parameters of a stream (VIRTIO 1.4, 5.14.6.6 "PCM Control Messages",
/// `VIRTIO_SND_R_PCM_SET_PARAMS`).
#[doc(alias = "virtio_snd_pcm_set_params")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmSetParams {
    /// The stream.
    pub header: PcmHeader,
    /// Size of the driver's buffer in bytes.
    pub buffer_bytes: U32<LE>,
    /// Size of a period, and so of the audio in an I/O message, in bytes.
    pub period_bytes: U32<LE>,
    /// Bit map of the optional features that the driver selects.
    pub features: U32<LE>,
    /// Number of channels.
    pub channels: u8,
    /// Code of the sample format.
    pub format: u8,
    /// Code of the frame rate.
    pub rate: u8,
    /// Zero.
    pub padding: u8,
}
const _: () = assert!(size_of::<PcmSetParams>() == 24);

/// The header of an I/O message (VIRTIO 1.4, 5.14.6.8 "PCM I/O Messages").
#[doc(alias = "virtio_snd_pcm_xfer")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmTransfer {
    /// Number of the stream.
    pub stream_id: U32<LE>,
}
const _: () = assert!(size_of::<PcmTransfer>() == 4);

/// The status at the end of an I/O message (VIRTIO 1.4, 5.14.6.8 "PCM I/O Messages").
#[doc(alias = "virtio_snd_pcm_status")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct PcmStatus {
    /// A [`Status`](super::Status).
    pub status: U32<LE>,
    /// How far playback is behind the completion of the message, in bytes.
    pub latency_bytes: U32<LE>,
}
const _: () = assert!(size_of::<PcmStatus>() == 8);
