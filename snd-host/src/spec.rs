//! The structures and codes of the virtio sound device, as the standard lays them out.
//!
//! VIRTIO 1.4, 5.14 "Sound Device". All fields are little-endian. Codes that come from the driver are plain
//! integers here: only the code that checks them decides what they mean.

use zerocopy::{FromBytes, I32, Immutable, IntoBytes, KnownLayout, LE, U16, U32, U64};

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
    /// Information about control elements.
    pub const CTL_INFO: u32 = 0x300;
    /// The items of an enumerated element.
    pub const CTL_ENUM_ITEMS: u32 = 0x301;
    /// Reads an element's value.
    pub const CTL_READ: u32 = 0x302;
    /// Changes an element's value.
    pub const CTL_WRITE: u32 = 0x303;
    /// Reads an element's metadata.
    pub const TLV_READ: u32 = 0x304;
    /// Changes an element's metadata.
    pub const TLV_WRITE: u32 = 0x305;
    /// Executes a command on an element's metadata.
    pub const TLV_COMMAND: u32 = 0x306;
}

/// The device has control elements (5.14.3 "Feature Bits").
pub const FEATURE_CTLS: u64 = 1 << 0;

/// The stream tells of underruns and overruns (5.14.6.6 "PCM Control Messages").
pub const PCM_FEATURE_XRUNS: u32 = 1 << 4;

/// What the device tells unasked (5.14.6 "Device Operation").
pub mod event {
    /// A stream had too little audio, or too much.
    pub const PCM_XRUN: u32 = 0x1101;
    /// A control element has changed.
    pub const CTL_NOTIFY: u32 = 0x1200;
    /// It is its value that has changed.
    pub const CTL_VALUE: u16 = 1 << 0;
}

/// What a control element is for (5.14.6.9 "Control Elements").
pub mod ctl_role {
    /// Loudness.
    pub const VOLUME: u32 = 1;
    /// Silence.
    pub const MUTE: u32 = 2;
}

/// What a control element's value is (5.14.6.9 "Control Elements").
pub mod ctl_type {
    /// 0 or 1.
    pub const BOOLEAN: u32 = 0;
    /// A number.
    pub const INTEGER: u32 = 1;
}

/// What can be done with a control element (5.14.6.9 "Control Elements").
pub mod ctl_access {
    /// It can be read.
    pub const READ: u32 = 1 << 0;
    /// It can be changed.
    pub const WRITE: u32 = 1 << 1;
    /// It has metadata that can be read.
    pub const TLV_READ: u32 = 1 << 4;
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
/// The direction of a stream that records.
pub const INPUT: u8 = 1;

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

/// What is plugged in (5.14.6.4.1 "`VIRTIO_SND_R_JACK_INFO`").
#[doc(alias = "virtio_snd_jack_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct JackInfo {
    /// The group that the jack belongs to.
    pub hda_fn_nid: U32<LE>,
    /// Bit map of optional features.
    pub features: U32<LE>,
    /// What it is for, as High Definition Audio's pin default configuration says it.
    pub hda_reg_defconf: U32<LE>,
    /// What it can do, as High Definition Audio's pin capabilities say it.
    pub hda_reg_caps: U32<LE>,
    /// Whether anything is plugged in.
    pub connected: u8,
    /// Zero.
    pub padding: [u8; 7],
}
const _: () = assert!(size_of::<JackInfo>() == 24);

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

/// An event (5.14.6 "Device Operation").
#[doc(alias = "virtio_snd_event")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Event {
    /// What has happened.
    pub code: U32<LE>,
    /// To what.
    pub data: U32<LE>,
}
const _: () = assert!(size_of::<Event>() == 8);

/// An event about a control element (5.14.6.9 "Control Elements").
#[doc(alias = "virtio_snd_ctl_event")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CtlEvent {
    /// That it is about one.
    pub code: U32<LE>,
    /// Which one.
    pub control_id: U16<LE>,
    /// Bit map of what has changed.
    pub mask: U16<LE>,
}
const _: () = assert!(size_of::<CtlEvent>() == 8);

/// Asks something of one control element (5.14.6.9 "Control Elements").
#[doc(alias = "virtio_snd_ctl_hdr")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CtlHeader {
    /// The request's code.
    pub code: U32<LE>,
    /// Which element.
    pub control_id: U32<LE>,
}
const _: () = assert!(size_of::<CtlHeader>() == 8);

/// What a control element is, as far as all drivers lay it out the same.
#[doc(alias = "virtio_snd_ctl_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CtlInfo {
    /// The group that the element belongs to.
    pub hda_fn_nid: U32<LE>,
    /// What it is for.
    pub role: U32<LE>,
    /// What its value is.
    pub kind: U32<LE>,
    /// Bit map of what can be done with it.
    pub access: U32<LE>,
    /// How many values it has.
    pub count: U32<LE>,
    /// What tells it from others with its name.
    pub index: U32<LE>,
    /// Its name, which ends with a zero.
    pub name: [u8; 44],
    /// The smallest and the largest value, and the step between values.
    pub range: [U32<LE>; 3],
}
const _: () = assert!(size_of::<CtlInfo>() == 80);

impl CtlInfo {
    /// As a driver takes it that says that it has `size` bytes.
    ///
    /// The range is in a union with members of eight bytes. Compilers for most architectures, Linux's driver
    /// among them, align those, and so leave four bytes before it, which make the whole 96 bytes long.
    #[must_use]
    pub fn laid_out_for(&self, size: u32) -> Vec<u8> {
        let (head, range) = self.as_bytes().split_at(std::mem::offset_of!(Self, range));
        let gap: &[u8] = if size < 96 { &[] } else { &[0; 4] };
        let mut bytes = [head, gap, range].concat();
        bytes.resize(size as usize, 0);
        bytes
    }
}

/// The values of a control element, which follow [`CtlHeader`] or a status.
#[doc(alias = "virtio_snd_ctl_value")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CtlValue {
    /// Of elements whose values are numbers.
    pub integers: [U32<LE>; 128],
}
const _: () = assert!(size_of::<CtlValue>() == 512);

/// What the values of a volume mean, as ALSA says it: `SNDRV_CTL_TLVT_DB_SCALE`.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub struct TlvDbScale {
    kind: U32<LE>,
    len: U32<LE>,
    /// Of the least value, in hundredths of a decibel.
    min: I32<LE>,
    /// In the same unit; bit 16 says that the least value is silence.
    step: U32<LE>,
}

impl TlvDbScale {
    /// A scale from `min` on in steps of `step`.
    #[must_use]
    pub const fn new(min: i32, step: u32) -> Self {
        Self { kind: U32::new(1), len: U32::new(8), min: I32::new(min), step: U32::new(step) }
    }
}
