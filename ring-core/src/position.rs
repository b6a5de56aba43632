//! How far a queue has come, as a value.

/// The progress of a queue: enough to go on elsewhere, or later, when nothing is in flight. What is in flight
/// is known to the end that holds it alone; [`recovery`](crate::recovery) is for what it leaves behind when it dies.
///
/// For a split queue both halves are free-running indices; for a packed queue both are
/// [`Cursor`](crate::index::Cursor)s in their 16-bit form.
///
/// vhost-user carries a position as one 32-bit number, its *vring base*. That of a split queue has the
/// available index only: the used index is where the device left it, in the device area.
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
    /// The next buffer that the device takes; at the driver end, the next one to be published.
    pub available: u16,
    /// The next place where the device returns one; at the driver end, the next one that is taken back.
    pub used: u16,
}

impl Position {
    /// Where a split queue begins.
    pub const SPLIT_START: Self = Self { available: 0, used: 0 };

    /// Where a packed queue begins: slot 0, both wrap counters 1.
    pub const PACKED_START: Self = Self { available: 1 << 15, used: 1 << 15 };

    /// The vring base of a split queue: the available index.
    #[must_use]
    pub const fn split_base(self) -> u32 {
        self.available as u32
    }

    /// The vring base of a packed queue: the available half in bits 0 to 15, the used half above.
    #[must_use]
    pub const fn packed_base(self) -> u32 {
        self.available as u32 | (self.used as u32) << 16
    }

    /// The position that a packed queue's vring base stands for.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half is 16 bits")]
    pub const fn from_packed_base(base: u32) -> Self {
        Self { available: base as u16, used: (base >> 16) as u16 }
    }

    /// The position of a queue in which nothing is in flight.
    ///
    /// This is what a base means that has its available half only, as 16-bit front-ends send it:
    /// [`DeviceQueue::position_of`](crate::DeviceQueue::position_of) knows.
    #[must_use]
    pub const fn quiescent(available: u16) -> Self {
        Self { available, used: available }
    }
}
