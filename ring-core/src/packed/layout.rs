//! The memory layout of a packed queue's three areas.

use bitflags::bitflags;

use crate::index::{Cursor, QueueSize};
use crate::layout::{AreaLayout, Layout};

bitflags! {
    /// `pvirtq_desc.flags` (VIRTIO 1.4, 2.8.13 "The Virtqueue Descriptor Format").
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct DescriptorFlags: u16 {
        /// The buffer continues in the next slot.
        const NEXT = 1 << 0;
        /// Available: the device may write this segment. Used: the device wrote to the buffer.
        const WRITE = 1 << 1;
        /// The segment is a table of descriptors.
        const INDIRECT = 1 << 2;
        /// The driver's wrap counter at the time when the driver wrote the descriptor.
        const AVAIL = 1 << 7;
        /// The inverse of that wrap counter in an available descriptor. The device sets the bit
        /// equal to the wrap counter.
        const USED = 1 << 15;
        const _ = !0;
    }
}

impl DescriptorFlags {
    /// Returns the flags that mark a descriptor available on the lap of `cursor`.
    #[inline]
    pub(crate) const fn available(cursor: Cursor) -> Self {
        Self::from_bits_retain(cursor.wrap_bit() >> 8 | (cursor.wrap_bit() ^ Cursor::WRAP))
    }

    /// Returns the flags that mark a descriptor used on the lap of `cursor`.
    #[inline]
    pub(crate) const fn used(cursor: Cursor) -> Self {
        Self::from_bits_retain(cursor.wrap_bit() >> 8 | cursor.wrap_bit())
    }

    /// Returns the flags of a descriptor that is neither available nor used on the lap of `cursor`:
    /// the flags of a descriptor that was used on the lap before.
    #[inline]
    pub(crate) const fn unavailable(cursor: Cursor) -> Self {
        let before = cursor.wrap_bit() ^ Cursor::WRAP;
        Self::from_bits_retain(before >> 8 | before)
    }

    /// Returns whether `AVAIL` and `USED` are as in `due`: whether the descriptor is available, or
    /// used, on that lap.
    #[inline]
    pub(crate) const fn is_turn(self, due: Self) -> bool {
        self.intersection(Self::AVAIL.union(Self::USED)).bits() == due.bits()
    }
}

/// The control word of a descriptor: `len`, `id` and `flags` of `pvirtq_desc`. The word before it
/// is `addr`.
#[doc(alias = "pvirtq_desc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Control {
    pub(crate) len: u32,
    pub(crate) id: u16,
    pub(crate) flags: DescriptorFlags,
}

impl Control {
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub(crate) const fn from_word(word: u64) -> Self {
        Self {
            len: word as u32,
            id: (word >> 32) as u16,
            flags: DescriptorFlags::from_bits_retain((word >> 48) as u16),
        }
    }

    #[inline]
    pub(crate) const fn to_word(self) -> u64 {
        self.len as u64 | (self.id as u64) << 32 | (self.flags.bits() as u64) << 48
    }
}

/// Returns the offset of `addr` of the descriptor in `slot`.
#[inline]
pub(crate) const fn address(slot: u16) -> usize {
    slot as usize * 16
}

/// Returns the offset of the [`Control`] word of the descriptor in `slot`.
#[inline]
pub(crate) const fn control(slot: u16) -> usize {
    address(slot) + 8
}

/// Returns the size and alignment of the areas of a packed queue (VIRTIO 1.4, 2.8.10.1 "Structure
/// Size and Alignment").
#[must_use]
pub const fn layout(size: QueueSize) -> Layout {
    let event = AreaLayout { size: 4, align: 4 };
    Layout { descriptor: AreaLayout { size: address(size.get()), align: 16 }, driver: event, device: event }
}

// `AVAIL` is the wrap counter's bit moved down by 8, and `USED` is that bit itself.
const _: () = {
    let Ok(one) = QueueSize::packed(1) else { unreachable!() };
    let (first, second) = (Cursor::START, Cursor::START.advance(1, one));
    let (avail, used) = (DescriptorFlags::AVAIL.bits(), DescriptorFlags::USED.bits());
    assert!(DescriptorFlags::available(first).bits() == avail);
    assert!(DescriptorFlags::available(second).bits() == used);
    assert!(DescriptorFlags::used(first).bits() == avail | used);
    assert!(DescriptorFlags::used(second).bits() == 0);
};

// `pvirtq_desc` is le64 addr, le32 len, le16 id, le16 flags.
const _: () = {
    let all = Control { len: 0x0403_0201, id: 0x0605, flags: DescriptorFlags::from_bits_retain(0x0807) };
    assert!(all.to_word() == 0x0807_0605_0403_0201);
    assert!(control(1) == 24);
};
