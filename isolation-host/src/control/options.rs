//! The options of the process, and the reasons why the process cannot start or continue.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::area::policy::Policy;
use crate::area::{AreaError, ShareError};
use crate::block_limits;
use crate::device_link::{DeviceLink, LinkType};
use crate::device_type::DeviceType;
use crate::endpoint::Endpoint;
use crate::metrics::ReportSocket;
use crate::negotiation::RingChoice;
use crate::vdpa::VdpaError;

/// The options of the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to connect to the VMM.
    pub vmm: Endpoint,
    /// How to connect to the device.
    pub device: Endpoint,
    /// The type of the device.
    pub device_type: DeviceType,
    /// How the device is connected.
    pub link: LinkType,
    /// The size of the isolated area in bytes.
    pub area_size: u64,
    /// Whether the operator has chosen the size of the area.
    pub area_chosen: bool,
    /// The largest number of queues to offer to the VMM, up to
    /// [`MAX_QUEUES`](crate::limits::MAX_QUEUES).
    pub queues: u16,
    /// The ring format on the device's side.
    pub ring: RingChoice,
    /// What happens to bytes that requests leave in the isolated area.
    pub policy: Policy,
    /// The longest time that a message of the VMM waits for replies of the device.
    pub device_wait: Duration,
    /// How long to wait for requests in flight when a queue is stopped.
    pub drain_timeout: Duration,
    /// The number of worker threads.
    pub threads: usize,
    /// The longest time that a worker polls before it sleeps.
    pub max_poll: Duration,
    /// Where operators read JSON.
    pub control: Option<ReportSocket>,
    /// Where Prometheus reads.
    pub metrics: Option<ReportSocket>,
}

#[cfg(test)]
impl Options {
    /// Returns the defaults of the command line, without any path, as if the operator had chosen
    /// the size of the area.
    pub(crate) fn example() -> Self {
        Self {
            vmm: Endpoint::Activated,
            device: Endpoint::Activated,
            device_type: DeviceType::Generic,
            link: LinkType::VhostUser,
            area_size: 64 << 20,
            area_chosen: true,
            queues: 16,
            ring: RingChoice::Auto,
            policy: Policy::default(),
            device_wait: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
            threads: 1,
            max_poll: Duration::ZERO,
            control: None,
            metrics: None,
        }
    }
}

/// The process cannot start, or cannot continue.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HostError {
    /// A socket cannot be made.
    #[error("cannot open {endpoint}")]
    Open {
        /// The endpoint.
        endpoint: Endpoint,
        /// The cause.
        source: io::Error,
    },
    /// There is no connection, and there will never be one.
    #[error("cannot connect to a peer at {endpoint}")]
    NoPeer {
        /// The endpoint.
        endpoint: Endpoint,
        /// The cause.
        source: io::Error,
    },
    /// The vDPA device cannot be used.
    #[error(transparent)]
    Vdpa(#[from] VdpaError),
    /// The vDPA device is not of the type that the operator has chosen.
    #[error("the vDPA device is of type {found:?}, not {chosen:?}; leave out --device")]
    DeviceType {
        /// The type of the device.
        found: DeviceType,
        /// The type that the operator has chosen.
        chosen: DeviceType,
    },
    /// The endpoint of the VMM is a vDPA device.
    #[error("{0} is a device; use it as --device-socket")]
    NoVmm(Endpoint),
    /// The isolated area cannot be made.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// The isolated area is too small for the queues.
    #[error("the device has {queues} queues")]
    Share {
        /// The number of queues.
        queues: u16,
        /// The cause.
        source: ShareError,
    },
    /// The system does not let the process wait for events.
    #[error("cannot wait for events")]
    Poll(#[source] io::Error),
}

/// What a device offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) features: u64,
    pub(super) protocol: u64,
    pub(super) queues: u16,
}

impl Offer {
    pub(super) fn of(link: &DeviceLink, options: &Options) -> Self {
        let device_type = options.device_type;
        let reported = link.queues.map(|units| units.saturating_mul(device_type.queues_per_unit()));
        let queues = reported.unwrap_or(device_type.usual_queues().into());
        let queues = u16::try_from(queues).map_or(options.queues, |queues| queues.min(options.queues));
        let features = link.features | block_limits::emulated(device_type);
        Self { features, protocol: link.protocol, queues: queues.max(1) }
    }
}
