//! The size and alignment of the areas of a queue.

/// The size and alignment of the three areas of a queue, for which the driver provides the memory.
///
/// [`Layout::of`] returns the layout of a format and a size; [`split`](crate::split) and
/// [`packed`](crate::packed) show what is in the areas (VIRTIO 1.4, 2.7 "Split Virtqueues" and
/// 2.8.10.1 "Structure Size and Alignment").
///
/// Exhaustive, because a virtqueue has these three areas and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The descriptor area.
    pub descriptor: AreaLayout,
    /// The driver area.
    pub driver: AreaLayout,
    /// The device area.
    pub device: AreaLayout,
}

/// The size and alignment of one area, in bytes.
///
/// Exhaustive, because memory is allocated by these two numbers and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaLayout {
    /// The size in bytes.
    pub size: usize,
    /// The alignment in bytes, a power of two.
    pub align: usize,
}
