//! Wrap-around arithmetic of indices and cursors.
//!
//! A split queue counts free-running 16-bit indices; the slot of an index is its remainder by the
//! queue's size, a power of two. A packed queue counts with a [`Cursor`]: a slot, and a wrap
//! counter that toggles whenever the slot starts again from 0.

use core::num::NonZeroU16;

/// The largest queue size that the standard allows.
pub const MAX_QUEUE_SIZE: u16 = 1 << 15;

/// The number of descriptors in a queue: 1 to 32768, and for a split queue a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueueSize(NonZeroU16);

/// A number that is not the size of a queue in the format.
///
/// Exhaustive, because the error consists of the refused number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueSizeError {
    /// The refused number.
    pub size: u16,
}

impl core::fmt::Display for QueueSizeError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "a queue cannot have {} descriptors; choose 1 to 32768, for a split queue a power of two",
            self.size
        )
    }
}

impl core::error::Error for QueueSizeError {}

impl QueueSize {
    /// Returns the size of a split queue (VIRTIO 1.4, 2.7 "Split Virtqueues").
    ///
    /// # Errors
    ///
    /// [`QueueSizeError`] unless `size` is a power of two up to 32768.
    pub const fn split(size: u16) -> Result<Self, QueueSizeError> {
        if size.is_power_of_two() { Self::packed(size) } else { Err(QueueSizeError { size }) }
    }

    /// Returns the size of a packed queue (VIRTIO 1.4, 2.8.10.1 "Structure Size and Alignment").
    ///
    /// # Errors
    ///
    /// [`QueueSizeError`] if `size` is 0 or larger than 32768.
    pub const fn packed(size: u16) -> Result<Self, QueueSizeError> {
        match NonZeroU16::new(size) {
            Some(nonzero) if size <= MAX_QUEUE_SIZE => Ok(Self(nonzero)),
            _ => Err(QueueSizeError { size }),
        }
    }

    /// Returns the number of descriptors.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

/// Maps the free-running indices of a split queue to slots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mask {
    /// The queue's size, a power of two, minus 1.
    mask: usize,
}

impl Mask {
    pub(crate) const fn new(size: QueueSize) -> Self {
        Self { mask: size.get() as usize - 1 }
    }

    /// Returns the slot of an index. The slot is less than the queue's size.
    #[inline]
    pub(crate) const fn slot(self, index: u16) -> usize {
        index as usize & self.mask
    }
}

/// A position in a packed ring: a slot, and the wrap counter of the lap (VIRTIO 1.4, 2.8.1 "Driver
/// and Device Ring Wrap Counters").
///
/// In the 16-bit form, which event suppression structures and vhost-user use, the slot is in bits 0
/// to 14 and the wrap counter is in bit 15.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cursor {
    slot: u16,
    /// The wrap counter at its bit of the 16-bit form: [`WRAP`](Self::WRAP) or 0.
    wrap: u16,
}

impl Cursor {
    pub(crate) const WRAP: u16 = 1 << 15;

    /// The position at which both sides begin: slot 0, wrap counter 1.
    pub const START: Self = Self { slot: 0, wrap: Self::WRAP };

    /// Returns the cursor with this 16-bit form, if its slot exists in a queue of this size.
    #[must_use]
    pub const fn from_bits(bits: u16, size: QueueSize) -> Option<Self> {
        let cursor = Self { slot: bits & !Self::WRAP, wrap: bits & Self::WRAP };
        if cursor.slot < size.get() { Some(cursor) } else { None }
    }

    /// Returns the cursor at `slot` on a lap with this wrap counter. `slot` is less than the
    /// queue's size.
    #[inline]
    pub(crate) const fn on_lap(slot: u16, wrap: bool) -> Self {
        Self { slot, wrap: if wrap { Self::WRAP } else { 0 } }
    }

    /// Returns the 16-bit form.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.slot | self.wrap
    }

    /// Returns the slot, which is less than the queue's size.
    #[inline]
    #[must_use]
    pub const fn slot(self) -> u16 {
        self.slot
    }

    /// Returns the wrap counter.
    #[inline]
    #[must_use]
    pub const fn wrap(self) -> bool {
        self.wrap != 0
    }

    /// Returns the wrap counter in bit 15; all other bits are 0.
    #[inline]
    pub(crate) const fn wrap_bit(self) -> u16 {
        self.wrap
    }

    /// Returns the cursor `count` slots further on; `count` is at most `size`.
    ///
    /// A step over the whole ring returns to the same slot on the next lap.
    #[inline]
    #[must_use]
    pub(crate) const fn advance(self, count: u16, size: QueueSize) -> Self {
        // Both terms are at most 32768, and the slot is smaller than that, so the sum fits.
        let slot = self.slot + count;
        if slot < size.get() { Self { slot, wrap: self.wrap } } else { self.next_lap(slot - size.get()) }
    }

    /// Returns the cursor at `slot` on the next lap. The call is cold, so that the code of all
    /// other steps stays short.
    #[cold]
    const fn next_lap(self, slot: u16) -> Self {
        Self { slot, wrap: self.wrap ^ Self::WRAP }
    }

    /// Returns the number of slots from `earlier` to this cursor, or `None` if that is more than
    /// `size`.
    pub(crate) const fn since(self, earlier: Self, size: QueueSize) -> Option<u16> {
        let (to, from) = (self.slot, earlier.slot);
        if self.wrap == earlier.wrap {
            to.checked_sub(from)
        } else if to <= from {
            Some(to + size.get() - from)
        } else {
            None
        }
    }
}

/// The ends of a first-in, first-out list with room for as many entries as a queue has descriptors.
///
/// The list stores positions only; the entries are in the caller's slots.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fifo {
    /// The position of the first entry; less than the queue's size.
    first: u16,
    /// The position after the last entry; less than the queue's size.
    end: u16,
}

impl Fifo {
    /// Returns the position of the first entry.
    pub(crate) const fn first(self) -> u16 {
        self.first
    }

    /// Returns the position for a new last entry. The list must not be full.
    pub(crate) const fn push(&mut self, size: QueueSize) -> u16 {
        let place = self.end;
        self.end = Self::after(place, size);
        place
    }

    /// Undoes the last `push`. (If no entry was pushed, the list is empty and only its position
    /// moves.)
    pub(crate) const fn undo_push(&mut self, size: QueueSize) {
        self.end = if self.end == 0 { size.get() - 1 } else { self.end - 1 };
    }

    /// Removes the first entry. The list must not be empty.
    pub(crate) const fn pop(&mut self, size: QueueSize) {
        self.first = Self::after(self.first, size);
    }

    const fn after(place: u16, size: QueueSize) -> u16 {
        if place + 1 == size.get() { 0 } else { place + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_size_is_a_power_of_two_and_a_packed_one_is_any_number() {
        for n in 0..=u16::MAX {
            assert_eq!(QueueSize::split(n).is_ok(), n.is_power_of_two(), "{n}");
            assert_eq!(QueueSize::packed(n).is_ok(), (1..=32768).contains(&n), "{n}");
        }
    }

    #[test]
    fn a_cursor_that_advances_over_the_whole_ring_changes_only_its_lap() {
        for n in [1, 2, 3, 5, 32767, 32768] {
            let size = QueueSize::packed(n).unwrap();
            let end = Cursor::START.advance(n, size);
            assert_eq!((end.slot(), end.wrap()), (0, false), "{n}");
            assert_eq!(end.advance(n, size), Cursor::START, "{n}");
        }
    }

    #[test]
    fn advancing_a_cursor_is_counting_modulo_twice_the_size() {
        for n in 1..=9u16 {
            let size = QueueSize::packed(n).unwrap();
            let position = |c: Cursor| c.slot() + if c.wrap() { 0 } else { n };
            let mut from = Cursor::START;
            for start in 0..2 * n {
                assert_eq!(position(from), start);
                for count in 0..=n {
                    let to = from.advance(count, size);
                    assert_eq!(position(to), (start + count) % (2 * n), "{n} {start} {count}");
                    assert_eq!(to.since(from, size), Some(count), "{n} {start} {count}");
                }
                for more in n + 1..2 * n {
                    let to = from.advance(n, size).advance(more - n, size);
                    assert_eq!(to.since(from, size), None, "{n} {start} {more}");
                }
                from = from.advance(1, size);
            }
        }
    }

    #[test]
    fn a_cursor_outside_the_ring_is_refused() {
        let size = QueueSize::packed(3).unwrap();
        for bits in 0..=u16::MAX {
            assert_eq!(Cursor::from_bits(bits, size).is_some(), bits & 0x7fff < 3, "{bits:#x}");
        }
    }
}
