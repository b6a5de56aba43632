//! The memory layout of a split queue's three areas.

use bitflags::bitflags;

use crate::index::QueueSize;
use crate::layout::{AreaLayout, Layout};
use crate::segment::Segment;

bitflags! {
    /// `virtq_desc.flags` (VIRTIO 1.4, 2.7.5 "The Virtqueue Descriptor Table").
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct DescriptorFlags: u16 {
        /// The chain continues at `next`.
        const NEXT = 1;
        /// The device may write the segment, and may not read it.
        const WRITE = 2;
        /// The segment is a table of descriptors.
        const INDIRECT = 4;
        const _ = !0;
    }
}

/// `virtq_desc`, as the two words in which it is read and written.
#[doc(alias = "virtq_desc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// `addr`.
    address: u64,
    /// `len`, `flags` and `next`.
    rest: u64,
}

impl Descriptor {
    pub(crate) const BYTES: usize = 16;

    #[inline]
    pub(crate) const fn new(segment: Segment, flags: DescriptorFlags, next: u16) -> Self {
        let rest = segment.len as u64 | (flags.bits() as u64) << 32 | (next as u64) << 48;
        Self { address: segment.address, rest }
    }

    /// Returns the descriptor as the last of its chain.
    #[inline]
    pub(crate) const fn without_next(self) -> Self {
        Self { rest: self.rest & !((DescriptorFlags::NEXT.bits() as u64) << 32), ..self }
    }

    #[inline]
    pub(crate) const fn from_words((address, rest): (u64, u64)) -> Self {
        Self { address, rest }
    }

    #[inline]
    pub(crate) const fn to_words(self) -> (u64, u64) {
        (self.address, self.rest)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub(crate) const fn segment(self) -> Segment {
        Segment::new(self.address, self.rest as u32)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub(crate) const fn flags(self) -> DescriptorFlags {
        DescriptorFlags::from_bits_retain((self.rest >> 32) as u16)
    }

    #[inline]
    pub(crate) const fn next(self) -> u16 {
        (self.rest >> 48) as u16
    }

    /// Returns the offset of descriptor `index` in the descriptor area.
    #[inline]
    pub(crate) const fn offset(index: u16) -> usize {
        index as usize * Self::BYTES
    }
}

/// The offset of `flags` in the driver area and in the device area.
pub(crate) const FLAGS: usize = 0;
/// The offset of `idx` in the driver area and in the device area.
pub(crate) const INDEX: usize = 2;
/// The only flag in `flags` of either area: the writer of the area asks not to be notified.
pub(crate) const FLAG_NO_NOTIFICATION: u16 = 1;

/// Returns the offset of `ring[slot]` in the driver area.
#[inline]
pub(crate) const fn available_slot(slot: usize) -> usize {
    4 + slot * 2
}

/// Returns the offset of `used_event` in the driver area.
#[inline]
pub(crate) const fn used_event(size: QueueSize) -> usize {
    available_slot(size.get() as usize)
}

/// Returns the offset of `ring[slot].id` in the device area; `len` follows 4 bytes later.
#[inline]
pub(crate) const fn used_slot(slot: usize) -> usize {
    4 + slot * 8
}

/// Returns the offset of `avail_event` in the device area.
#[inline]
pub(crate) const fn available_event(size: QueueSize) -> usize {
    used_slot(size.get() as usize)
}

/// Returns the size and alignment of the areas of a split queue.
///
/// The event fields at the end of the driver area and of the device area are included, even if
/// `EVENT_IDX` is not negotiated.
#[must_use]
pub const fn layout(size: QueueSize) -> Layout {
    Layout {
        descriptor: AreaLayout { size: Descriptor::offset(size.get()), align: 16 },
        driver: AreaLayout { size: used_event(size) + 2, align: 2 },
        device: AreaLayout { size: available_event(size) + 2, align: 4 },
    }
}

// The table of VIRTIO 1.4, 2.7 "Split Virtqueues": 16 n, 6 + 2 n and 6 + 8 n bytes.
const _: () = {
    let Ok(size) = QueueSize::split(256) else { unreachable!() };
    let layout = layout(size);
    assert!(layout.descriptor.size == 16 * 256);
    assert!(layout.driver.size == 6 + 2 * 256);
    assert!(layout.device.size == 6 + 8 * 256);
};
