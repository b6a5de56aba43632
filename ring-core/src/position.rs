//! How far a queue has progressed, as a value.

/// The progress of a queue. If nothing is in flight, a queue can continue from this value later, or
/// in another process.
///
/// A position does not describe the chains in flight. Only the end that holds these chains knows
/// them; [`recovery`](crate::recovery) explains how they survive a crash of the device.
///
/// For a split queue, both parts are free-running indices. For a packed queue, both parts are
/// [`Cursor`](crate::index::Cursor)s in their 16-bit form.
///
/// vhost-user transmits a position as one 32-bit number, the *vring base*. The vring base of a
/// split queue has only the available index; the used index remains in the device area, where the
/// device left it.
///
/// ```
/// use ring_core::Position;
///
/// let packed = Position::from_packed_base(0x0002_8003);
/// assert_eq!(packed, Position { available: 0x8003, used: 0x0002 });
/// assert_eq!(packed.packed_base(), 0x0002_8003);
/// ```
///
/// Exhaustive, because a queue has these two positions and no other.
#[doc(alias("vring_base", "last_avail_idx"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The next buffer that the device takes. At the driver end: the next buffer that is published.
    pub available: u16,
    /// The position at which the device returns the next buffer. At the driver end: the next buffer
    /// that is taken back.
    pub used: u16,
}

impl Position {
    /// The position at which a split queue begins: both indices are 0.
    pub const SPLIT_START: Self = Self { available: 0, used: 0 };

    /// The position at which a packed queue begins: slot 0, both wrap counters 1.
    pub const PACKED_START: Self = Self { available: 1 << 15, used: 1 << 15 };

    /// Returns the vring base of a split queue: the available index.
    #[must_use]
    pub const fn split_base(self) -> u32 {
        self.available as u32
    }

    /// Returns the vring base of a packed queue: `available` in bits 0 to 15, `used` in bits 16 to
    /// 31.
    #[must_use]
    pub const fn packed_base(self) -> u32 {
        self.available as u32 | (self.used as u32) << 16
    }

    /// Returns the position that the vring base of a packed queue stands for.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half is 16 bits")]
    pub const fn from_packed_base(base: u32) -> Self {
        Self { available: base as u16, used: (base >> 16) as u16 }
    }

    /// Returns the position of a queue in which nothing is in flight.
    ///
    /// Front-ends that handle only 16 bits of a packed queue's base send such a position.
    /// [`DeviceQueue::position_of`](crate::DeviceQueue::position_of) recognises it.
    #[must_use]
    pub const fn quiescent(available: u16) -> Self {
        Self { available, used: available }
    }
}
