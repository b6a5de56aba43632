//! The structures and codes of the virtio sound device, as the standard lays them out.
//!
//! VIRTIO 1.4, 5.14 "Sound Device". All fields are little-endian. Codes that come from the driver are plain
//! integers here: only the code that checks them decides what they mean.

mod control_element;
mod pcm_stream;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, LE, U32};

pub use control_element::{
    CtlEvent, CtlHeader, CtlInfo, CtlValue, TlvDbScale, ctl_access, ctl_role, ctl_type,
};
pub use pcm_stream::{
    ChmapInfo, INPUT, OUTPUT, PCM_FEATURE_XRUNS, PcmHeader, PcmInfo, PcmSetParams, PcmStatus, PcmTransfer,
};

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

/// What the device tells unasked (5.14.6 "Device Operation").
pub mod event {
    /// A stream had too little audio, or too much.
    pub const PCM_XRUN: u32 = 0x1101;
    /// A control element has changed.
    pub const CTL_NOTIFY: u32 = 0x1200;
    /// It is its value that has changed.
    pub const CTL_VALUE: u16 = 1 << 0;
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
