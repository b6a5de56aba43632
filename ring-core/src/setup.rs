//! What the caller provides to set up a queue: its size, its features, and the addresses of its
//! areas.

use crate::features::Features;
use crate::index::{QueueSize, QueueSizeError};
use crate::layout::Layout;
use crate::{packed, split};

/// The configuration of one queue, as the driver gives it to the device.
///
/// Use [`Setup::new`] to make a configuration. The struct is not exhaustive: fields may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setup {
    /// The number of descriptors.
    pub size: u16,
    /// The negotiated features.
    pub features: Features,
    /// The addresses of the three areas.
    pub areas: Areas,
}

/// The addresses of the three areas of a queue.
///
/// Exhaustive, because a virtqueue has these three areas and no other (VIRTIO 1.4, 2.6
/// "Virtqueues").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// The address of the descriptor area.
    pub descriptor: u64,
    /// The address of the driver area.
    pub driver: u64,
    /// The address of the device area.
    pub device: u64,
}

impl Layout {
    /// Returns the layout of a queue of `size` descriptors, in the format that was negotiated.
    ///
    /// # Errors
    ///
    /// [`QueueSizeError`] if the format has no queue of this size.
    pub const fn of(size: u16, features: Features) -> Result<Self, QueueSizeError> {
        if features.contains(Features::RING_PACKED) {
            match QueueSize::packed(size) {
                Ok(size) => Ok(packed::layout(size)),
                Err(bad) => Err(bad),
            }
        } else {
            match QueueSize::split(size) {
                Ok(size) => Ok(split::layout(size)),
                Err(bad) => Err(bad),
            }
        }
    }
}

impl Setup {
    /// Returns the configuration of a queue of `size` descriptors.
    ///
    /// `new` checks nothing. The constructors of the queues check the configuration.
    #[must_use]
    pub const fn new(size: u16, features: Features, areas: Areas) -> Self {
        Self { size, features, areas }
    }

    /// Returns the configuration of a queue whose areas are adjacent and start at `address`, and
    /// the number of bytes that the areas take up together.
    ///
    /// `address` is a multiple of 64. Each area starts on a cache line of its own, because
    /// different sides write the areas.
    ///
    /// # Errors
    ///
    /// [`QueueSizeError`] if the format has no queue of this size.
    ///
    /// ```
    /// use ring_core::{Features, Setup};
    ///
    /// let (setup, bytes) = Setup::contiguous(0x4000, 256, Features::empty())?;
    /// assert_eq!((setup.areas.driver, setup.areas.device, bytes), (0x5000, 0x5240, 0x1a80));
    /// # Ok::<(), ring_core::index::QueueSizeError>(())
    /// ```
    pub const fn contiguous(
        address: u64,
        size: u16,
        features: Features,
    ) -> Result<(Self, u64), QueueSizeError> {
        const LINE: u64 = 64;
        let layout = match Layout::of(size, features) {
            Ok(layout) => layout,
            Err(bad) => return Err(bad),
        };
        // The areas of the largest queue together are smaller than 2^20 bytes.
        let driver = (layout.descriptor.size as u64).next_multiple_of(LINE);
        let device = driver + (layout.driver.size as u64).next_multiple_of(LINE);
        let end = device + (layout.device.size as u64).next_multiple_of(LINE);
        let areas = Areas {
            descriptor: address,
            driver: address.saturating_add(driver),
            device: address.saturating_add(device),
        };
        Ok((Self::new(size, features, areas), end))
    }
}
