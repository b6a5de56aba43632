//! The structures and codes of the virtio sound device, laid out as the standard defines them.
//!
//! VIRTIO 1.4, 5.14 "Sound Device". All fields are little-endian. Codes that the driver sends are
//! plain integers here; the code that checks the integers decides what they mean.

mod control_element;
mod pcm_stream;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U32};

pub use control_element::{
    CtlEvent, CtlHeader, CtlInfo, CtlValue, TlvDbScale, ctl_access, ctl_role, ctl_type,
};
pub use pcm_stream::{
    ChmapInfo, INPUT, OUTPUT, PCM_FEATURE_XRUNS, PcmHeader, PcmInfo, PcmSetParams, PcmStatus, PcmTransfer,
};

/// Number of queues (VIRTIO 1.4, 5.14.2 "Virtqueues").
pub const QUEUES: usize = 4;
/// Index of the queue of control requests and their responses.
pub const CONTROL_QUEUE: usize = 0;
/// Index of the queue of notifications from the device.
pub const EVENT_QUEUE: usize = 1;
/// Index of the queue of audio to play.
pub const TX_QUEUE: usize = 2;
/// Index of the queue of recorded audio.
pub const RX_QUEUE: usize = 3;

/// Codes of control requests (VIRTIO 1.4, 5.14.6 "Device Operation").
pub mod request {
    /// Reads information about jacks.
    pub const JACK_INFO: u32 = 1;
    /// Remaps a jack.
    pub const JACK_REMAP: u32 = 2;
    /// Reads information about PCM streams.
    pub const PCM_INFO: u32 = 0x100;
    /// Sets the parameters of a stream.
    pub const PCM_SET_PARAMS: u32 = 0x101;
    /// Prepares a stream.
    pub const PCM_PREPARE: u32 = 0x102;
    /// Releases a stream.
    pub const PCM_RELEASE: u32 = 0x103;
    /// Starts a stream.
    pub const PCM_START: u32 = 0x104;
    /// Stops a stream.
    pub const PCM_STOP: u32 = 0x105;
    /// Reads information about channel maps.
    pub const CHMAP_INFO: u32 = 0x200;
    /// Reads information about control elements.
    pub const CTL_INFO: u32 = 0x300;
    /// Reads the items of an enumerated element.
    pub const CTL_ENUM_ITEMS: u32 = 0x301;
    /// Reads the value of an element.
    pub const CTL_READ: u32 = 0x302;
    /// Sets the value of an element.
    pub const CTL_WRITE: u32 = 0x303;
    /// Reads the metadata of an element.
    pub const TLV_READ: u32 = 0x304;
    /// Sets the metadata of an element.
    pub const TLV_WRITE: u32 = 0x305;
    /// Executes a command on the metadata of an element.
    pub const TLV_COMMAND: u32 = 0x306;
}

/// The device has control elements (VIRTIO 1.4, 5.14.3 "Feature Bits").
pub const FEATURE_CTLS: u64 = 1 << 0;

/// Codes of notifications from the device (VIRTIO 1.4, 5.14.6 "Device Operation").
pub mod event {
    /// A stream had an underrun or an overrun.
    pub const PCM_XRUN: u32 = 0x1101;
    /// A control element has changed.
    pub const CTL_NOTIFY: u32 = 0x1200;
    /// In the mask of [`CTL_NOTIFY`]: the value has changed.
    pub const CTL_VALUE: u16 = 1 << 0;
}

/// The status of a request or of an I/O message (VIRTIO 1.4, 5.14.6 "Device Operation").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// Success.
    Ok = 0x8000,
    /// The request is malformed, or its parameters are invalid.
    BadMsg = 0x8001,
    /// The request is valid, but the device does not support the request.
    NotSupp = 0x8002,
    /// An I/O error occurred.
    IoErr = 0x8003,
}

impl Status {
    /// Returns the code that the driver reads.
    #[must_use]
    pub const fn code(self) -> U32<LE> {
        U32::new(self as u32)
    }
}

/// The device configuration (VIRTIO 1.4, 5.14.4 "Device Configuration Layout").
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub struct Config {
    /// Number of jacks.
    pub jacks: U32<LE>,
    /// Number of PCM streams.
    pub streams: U32<LE>,
    /// Number of channel maps.
    pub chmaps: U32<LE>,
    /// Number of control elements; 0 without `VIRTIO_SND_F_CTLS`.
    pub controls: U32<LE>,
}
const _: () = assert!(size_of::<Config>() == 16);

/// A query for a range of items (VIRTIO 1.4, 5.14.6.1 "Item Information Request").
#[doc(alias = "virtio_snd_query_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QueryInfo {
    /// Code of the request.
    pub code: U32<LE>,
    /// Number of the first item.
    pub start_id: U32<LE>,
    /// Number of items.
    pub count: U32<LE>,
    /// Size of an item in bytes, as the driver knows the item.
    pub size: U32<LE>,
}
const _: () = assert!(size_of::<QueryInfo>() == 16);

/// Information about a jack (VIRTIO 1.4, 5.14.6.4.1 "`VIRTIO_SND_R_JACK_INFO`").
#[doc(alias = "virtio_snd_jack_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct JackInfo {
    /// The function group that the jack belongs to.
    pub hda_fn_nid: U32<LE>,
    /// Bit map of optional features.
    pub features: U32<LE>,
    /// Pin default configuration, as High Definition Audio defines it.
    pub hda_reg_defconf: U32<LE>,
    /// Pin capabilities, as High Definition Audio defines them.
    pub hda_reg_caps: U32<LE>,
    /// 1 if the jack is connected, else 0.
    pub connected: u8,
    /// Zero.
    pub padding: [u8; 7],
}
const _: () = assert!(size_of::<JackInfo>() == 24);

/// A notification from the device (VIRTIO 1.4, 5.14.6 "Device Operation").
#[doc(alias = "virtio_snd_event")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Event {
    /// What has happened, from [`event`].
    pub code: U32<LE>,
    /// The number of the stream or jack concerned.
    pub data: U32<LE>,
}
const _: () = assert!(size_of::<Event>() == 8);
