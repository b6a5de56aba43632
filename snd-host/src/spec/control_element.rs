//! Control elements: volumes and switches that an application in the guest can set.

use zerocopy::{FromBytes, I32, Immutable, IntoBytes, KnownLayout, LE, U16, U32};

/// The role of a control element (VIRTIO 1.4, 5.14.6.9 "Control Elements").
pub mod ctl_role {
    /// Volume.
    pub const VOLUME: u32 = 1;
    /// Mute switch.
    pub const MUTE: u32 = 2;
}

/// The type of an element's value (VIRTIO 1.4, 5.14.6.9 "Control Elements").
pub mod ctl_type {
    /// 0 or 1.
    pub const BOOLEAN: u32 = 0;
    /// A number.
    pub const INTEGER: u32 = 1;
}

/// Access rights to a control element (VIRTIO 1.4, 5.14.6.9 "Control Elements").
pub mod ctl_access {
    /// The value can be read.
    pub const READ: u32 = 1 << 0;
    /// The value can be set.
    pub const WRITE: u32 = 1 << 1;
    /// The metadata can be read.
    pub const TLV_READ: u32 = 1 << 4;
}

/// A notification about a control element (VIRTIO 1.4, 5.14.6.9 "Control Elements").
#[doc(alias = "virtio_snd_ctl_event")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CtlEvent {
    /// [`CTL_NOTIFY`](super::event::CTL_NOTIFY).
    pub code: U32<LE>,
    /// Number of the element.
    pub control_id: U16<LE>,
    /// Bit map of what has changed.
    pub mask: U16<LE>,
}
const _: () = assert!(size_of::<CtlEvent>() == 8);

/// The header of a request about one control element (VIRTIO 1.4, 5.14.6.9 "Control Elements").
#[doc(alias = "virtio_snd_ctl_hdr")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CtlHeader {
    /// Code of the request.
    pub code: U32<LE>,
    /// Number of the element.
    pub control_id: U32<LE>,
}
const _: () = assert!(size_of::<CtlHeader>() == 8);

/// Information about a control element, without the padding in which drivers differ.
#[doc(alias = "virtio_snd_ctl_info")]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CtlInfo {
    /// The function group that the element belongs to.
    pub hda_fn_nid: U32<LE>,
    /// The role, from [`ctl_role`].
    pub role: U32<LE>,
    /// The type of the value, from [`ctl_type`].
    pub kind: U32<LE>,
    /// Bit map of access rights, from [`ctl_access`].
    pub access: U32<LE>,
    /// Number of values.
    pub count: U32<LE>,
    /// The index that distinguishes elements of the same name.
    pub index: U32<LE>,
    /// The name, terminated by a zero byte.
    pub name: [u8; 44],
    /// The smallest value, the largest value, and the step between values.
    pub range: [U32<LE>; 3],
}
const _: () = assert!(size_of::<CtlInfo>() == 80);

impl CtlInfo {
    /// Returns the bytes for a driver whose structure has `size` bytes.
    ///
    /// The range is in a union with members of eight bytes. Compilers for most architectures,
    /// including the one that builds Linux's driver, align the union to eight bytes. This leaves a
    /// gap of four bytes before the range, and the whole structure has 96 bytes.
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
    /// The values of an element of type [`BOOLEAN`](ctl_type::BOOLEAN) or
    /// [`INTEGER`](ctl_type::INTEGER).
    pub integers: [U32<LE>; 128],
}
const _: () = assert!(size_of::<CtlValue>() == 512);

/// The scale of a volume in decibels, as ALSA defines it: `SNDRV_CTL_TLVT_DB_SCALE`.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable)]
#[repr(C)]
pub struct TlvDbScale {
    kind: U32<LE>,
    len: U32<LE>,
    /// Level of the smallest value, in hundredths of a decibel.
    min: I32<LE>,
    /// Step in hundredths of a decibel. Bit 16 means that the smallest value is silence.
    step: U32<LE>,
}

impl TlvDbScale {
    /// Creates a scale that starts at `min` and rises by `step`, both in hundredths of a decibel.
    #[must_use]
    pub const fn new(min: i32, step: u32) -> Self {
        Self { kind: U32::new(1), len: U32::new(8), min: I32::new(min), step: U32::new(step) }
    }
}
