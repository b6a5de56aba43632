//! The part of an end that is constant: the resolved areas and the negotiated features.

use core::fmt;

use crate::error::{AreaName, SetupError};
use crate::features::Features;
use crate::index::QueueSize;
use crate::layout::{AreaLayout, Layout};
use crate::memory::Memory;
use crate::setup::Setup;

/// Which end of a queue an end is.
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

impl<M: Memory> Ring<M> {
    pub(crate) fn new(
        memory: M,
        setup: &Setup,
        role: Role,
        size: QueueSize,
        layout: Layout,
    ) -> Result<Self, SetupError> {
        let area = |area, address: u64, layout: AreaLayout| {
            // A power of two. A remainder would bring a check for a division by zero.
            let align = layout.align as u64;
            if address & (align - 1) != 0 {
                return Err(SetupError::Misaligned { area, address, align });
            }
            memory.area(address, layout.size).map_err(|range| SetupError::Unmapped { area, range })
        };
        let descriptor = area(AreaName::Descriptor, setup.areas.descriptor, layout.descriptor)?;
        let driver = area(AreaName::Driver, setup.areas.driver, layout.driver)?;
        let device = area(AreaName::Device, setup.areas.device, layout.device)?;
        let (own, other) = match role {
            Role::Driver => (driver, device),
            Role::Device => (device, driver),
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
    /// The queue runs.
    Running,
    /// The queue runs, and the device returns buffers in order.
    InOrder,
    /// The queue was suspended, and can be resumed.
    Suspended,
    /// The other side has broken a rule. Only a reset helps.
    Broken,
}

impl State {
    #[inline]
    pub(crate) const fn is_running(self) -> bool {
        matches!(self, Self::Running | Self::InOrder)
    }

    /// Returns the state after a suspend. A broken queue stays broken.
    pub(crate) const fn suspended(self) -> Self {
        match self {
            Self::Broken => Self::Broken,
            Self::Running | Self::InOrder | Self::Suspended => Self::Suspended,
        }
    }
}
