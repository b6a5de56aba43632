//! The structures and codes of the virtio sound device, as the standard lays them out.
//!
//! VIRTIO 1.4, 5.14 "Sound Device". All fields are little-endian. Codes that come from the driver are plain
//! integers here: only the code that checks them decides what they mean.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U32, U64};

/// The number of queues, and which is which (5.14.2 "Virtqueues").
pub const QUEUES: usize = 4;
/// Control requests and their answers.
pub const CONTROL_QUEUE: usize = 0;
/// Notifications from the device.
pub const EVENT_QUEUE: usize = 1;
/// Audio to play.
pub const TX_QUEUE: usize = 2;
/// Audio that was recorded.
pub const RX_QUEUE: usize = 3;

/// What a control request asks for (5.14.6 "Device Operation").
pub mod request {
    /// Information about jacks.
    pub const JACK_INFO: u32 = 1;
    /// Remaps a jack.
    pub const JACK_REMAP: u32 = 2;
    /// Information about PCM streams.
    pub const PCM_INFO: u32 = 0x100;
    /// Chooses a stream's parameters.
    pub const PCM_SET_PARAMS: u32 = 0x101;
    /// Prepares a stream.
    pub const PCM_PREPARE: u32 = 0x102;
    /// Releases a stream.
    pub const PCM_RELEASE: u32 = 0x103;
    /// Starts a stream.
    pub const PCM_START: u32 = 0x104;
    /// Stops a stream.
    pub const PCM_STOP: u32 = 0x105;
    /// Information about channel maps.
    pub const CHMAP_INFO: u32 = 0x200;
}

/// How a request ended (5.14.6 "Device Operation").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Well.
    Ok = 0x8000,
    /// The request, or what it says, makes no sense.
    BadMsg = 0x8001,
    /// The device does not offer this.
    NotSupp = 0x8002,
    /// An I/O message could not be served.
    IoErr = 0x8003,
}

impl Status {
    /// As it goes to the driver.
    #[must_use]
    pub const fn code(self) -> U32<LE> {
        U32::new(self as u32)
    }
}

/// The direction of a stream that plays (5.14.6 "Device Operation").
pub const OUTPUT: u8 = 0;

/// The device's configuration (5.14.4 "Device Configuration Layout").
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub struct Config {
    /// Number of jacks.
    pub jacks: U32<LE>,
    /// Number of PCM streams.
    pub streams: U32<LE>,
    /// Number of channel maps.
    pub chmaps: U32<LE>,
    /// Number of control elements; without `VIRTIO_SND_F_CTLS`, 0.
    pub controls: U32<LE>,
}
const _: () = assert!(size_of::<Config>() == 16);

/// Asks for a range of items (5.14.6.1 "Item Information Request").
#[doc(alias = "virtio_snd_query_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QueryInfo {
    /// The request's code.
    pub code: U32<LE>,
    /// The first item.
    pub start_id: U32<LE>,
    /// How many items.
    pub count: U32<LE>,
    /// How many bytes the driver expects for each item.
    pub size: U32<LE>,
}
const _: () = assert!(size_of::<QueryInfo>() == 16);

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
