//! The part of an end that is constant: the resolved areas and the negotiated features.

use core::fmt;

use crate::error::{AreaName, SetupError};
use crate::features::Features;
use crate::index::QueueSize;
use crate::layout::{AreaLayout, Layout};
use crate::memory::Memory;
use crate::setup::{Areas, Setup};

/// The role of an end: driver or device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The driver end, which writes the driver area.
    Driver,
    /// The device end, which writes the device area.
    Device,
}

/// A queue as seen by one end. Resolved at set-up, and constant from then on.
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
    /// The state of the queue when it runs: [`State::Running`] or [`State::InOrder`].
    pub(crate) running: State,
}

/// Fails if two of the areas share a byte.
fn check_overlap(areas: Areas, layout: Layout) -> Result<(), SetupError> {
    let descriptor = (AreaName::Descriptor, areas.descriptor, layout.descriptor.size as u64);
    let driver = (AreaName::Driver, areas.driver, layout.driver.size as u64);
    let device = (AreaName::Device, areas.device, layout.device.size as u64);
    for [first, second] in [[descriptor, driver], [descriptor, device], [driver, device]] {
        // Addresses that wrap around are refused elsewhere.
        let (from_first, from_second) = (second.1.wrapping_sub(first.1), first.1.wrapping_sub(second.1));
        if from_first < first.2 || from_second < second.2 {
            return Err(SetupError::Overlap { areas: [first.0, second.0] });
        }
    }
    Ok(())
}

impl<M: Memory> Ring<M> {
    pub(crate) fn new(
        memory: M,
        setup: &Setup,
        role: Role,
        size: QueueSize,
        layout: Layout,
    ) -> Result<Self, SetupError> {
        let area = |area, address: u64, layout: AreaLayout| {
            let align = layout.align as u64;
            // The alignment is a power of two.
            if address & (align - 1) != 0 {
                return Err(SetupError::Misaligned { area, address, align });
            }
            memory.area(address, layout.size).map_err(|range| SetupError::Unmapped { area, range })
        };
        let descriptor = area(AreaName::Descriptor, setup.areas.descriptor, layout.descriptor)?;
        let driver = area(AreaName::Driver, setup.areas.driver, layout.driver)?;
        let device = area(AreaName::Device, setup.areas.device, layout.device)?;
        let (own, other) = match role {
            // The driver itself has chosen the areas, so they are not checked for overlaps.
            Role::Driver => (driver, device),
            Role::Device => {
                check_overlap(setup.areas, layout)?;
                (device, driver)
            }
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

impl<M: Memory> Ring<M> {
    /// Returns whether the other ring has the same size and features. The addresses of the areas
    /// may differ.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        let configuration = |ring: &Self| (ring.size, ring.event_idx, ring.indirect, ring.running);
        configuration(self) == configuration(other)
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
    /// The queue runs.
    Running,
    /// The queue runs, and the device returns buffers in order.
    InOrder,
    /// The other side has broken a rule, and this end still returns the chains that it has taken.
    Draining,
    /// The queue was suspended, and can be resumed.
    Suspended,
    /// The other side has broken a rule. The queue is idle until it is reset; a device end can be
    /// drained. Also the state during a burst that holds positions by value.
    Broken,
}

impl State {
    #[inline]
    pub(crate) const fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::InOrder)
    }

    /// Returns whether what is staged can be published.
    #[inline]
    pub(crate) const fn is_publishing(self) -> bool {
        matches!(self, Self::Running | Self::InOrder | Self::Draining)
    }

    /// Returns whether the other side has broken a rule.
    pub(crate) const fn is_broken(self) -> bool {
        matches!(self, Self::Draining | Self::Broken)
    }

    /// Returns the state after a suspend. A broken queue stays broken.
    pub(crate) const fn suspended(self) -> Self {
        match self {
            Self::Draining | Self::Broken => Self::Broken,
            Self::Running | Self::InOrder | Self::Suspended => Self::Suspended,
        }
    }
}
