//! How much memory the areas of a queue take up.

/// Bytes and alignment of the three areas of a queue, which the driver has to provide.
///
/// VIRTIO 1.4, 2.7 "Split Virtqueues" and 2.8.10.1 "Structure Size and Alignment".
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

/// Size and alignment of one area, in bytes.
///
/// Exhaustive, because memory is allocated by these two numbers and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaLayout {
    /// Its size.
    pub size: usize,
    /// Its alignment, a power of two.
    pub align: usize,
}
