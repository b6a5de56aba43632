//! What it takes to set up a queue: its size, its features, and where its areas are.

use core::fmt;

use crate::error::{AreaName, SetupError};
use crate::features::Features;
use crate::index::{QueueSize, QueueSizeError};
use crate::memory::Memory;
use crate::{packed, split};

/// The configuration of one queue, as the driver gives it to the device.
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
/// Exhaustive, since a virtqueue has these three areas and no other: VIRTIO 1.4, 2.6 "Virtqueues".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// The address of the descriptor area.
    pub descriptor: u64,
    /// The address of the driver area.
    pub driver: u64,
    /// The address of the device area.
    pub device: u64,
}

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

impl Layout {
    /// The layout of a queue of `size` descriptors, in the format that was negotiated.
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
    /// Nothing is checked here: the queues check it when they are made from it.
    #[must_use]
    pub const fn new(size: u16, features: Features, areas: Areas) -> Self {
        Self { size, features, areas }
    }

    /// A queue whose areas follow each other from `address` on, which is a multiple of 64; and how many bytes
    /// they take up together. Each begins on a cache line of its own, since different sides write them.
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
        // The areas of the largest queue are less than 2^20 bytes.
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

/// Which end of a queue it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It writes the driver area.
    Driver,
    /// It writes the device area.
    Device,
}

/// A queue as one end sees it: resolved, and constant from then on.
pub(crate) struct Ring<M: Memory> {
    pub(crate) memory: M,
    pub(crate) descriptor: M::Area,
    /// The area that this end writes, besides descriptors.
    pub(crate) own: M::Area,
    /// The area that the other side writes.
    pub(crate) other: M::Area,
    pub(crate) size: QueueSize,
    pub(crate) event_idx: bool,
    pub(crate) indirect: bool,
    /// What the queue's state is when it runs.
    pub(crate) running: State,
}

impl<M: Memory> Ring<M> {
    pub(crate) fn new(
        memory: M,
        setup: &Setup,
        end: End,
        size: QueueSize,
        layout: Layout,
    ) -> Result<Self, SetupError> {
        let area = |area, address: u64, layout: AreaLayout| {
            let align = layout.align as u64;
            if !address.is_multiple_of(align) {
                return Err(SetupError::Misaligned { area, address, align });
            }
            memory.area(address, layout.size).map_err(|range| SetupError::Unmapped { area, range })
        };
        let descriptor = area(AreaName::Descriptor, setup.areas.descriptor, layout.descriptor)?;
        let driver = area(AreaName::Driver, setup.areas.driver, layout.driver)?;
        let device = area(AreaName::Device, setup.areas.device, layout.device)?;
        let (own, other) = match end {
            End::Driver => (driver, device),
            End::Device => (device, driver),
        };
        let in_order = setup.features.contains(Features::IN_ORDER);
        Ok(Self {
            memory,
            descriptor,
            own,
            other,
            size,
            event_idx: setup.features.contains(Features::EVENT_IDX),
            indirect: setup.features.contains(Features::INDIRECT_DESC),
            running: if in_order { State::InOrder } else { State::Running },
        })
    }
}

impl<M: Memory> fmt::Debug for Ring<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, event_idx, indirect, running, .. } = self;
        f.debug_struct("Ring")
            .field("size", size)
            .field("event_idx", event_idx)
            .field("indirect", indirect)
            .field("running", running)
            .finish_non_exhaustive()
    }
}

/// Whether a queue runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It does.
    Running,
    /// It does, and the device returns buffers in order.
    InOrder,
    /// It was suspended, and can be resumed.
    Suspended,
    /// The other side broke a rule; only a reset helps.
    Broken,
}

impl State {
    #[inline]
    pub(crate) const fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::InOrder)
    }

    /// The state after a suspend: a broken queue stays broken.
    pub(crate) const fn suspended(self) -> Self {
        match self {
            Self::Broken => Self::Broken,
            Self::Running | Self::InOrder | Self::Suspended => Self::Suspended,
        }
    }
}
