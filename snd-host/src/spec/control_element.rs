//! Control elements: what an application in the guest can turn and switch.

use zerocopy::{FromBytes, I32, Immutable, IntoBytes, KnownLayout, LE, U16, U32};

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
