//! The control plane: one thread that handles both sockets and controls the queues.
//!
//! Either peer may disconnect and come back. Each file has one concern:
//!
//! | file | concern |
//! |---|---|
//! | `sockets`, `event` | what is opened at the start, and what the thread waits for |
//! | `vmm_session`, `device_session` | the connections to the VMM and to the device |
//! | `seeker`, `reconnect` | how and when to connect to a device |
//! | `vmm_requests`, `answer` | the VMM's requests and their answers |
//! | `vmm_memory` | guest memory, dirty log, in-flight region |
//! | `device_config` | configuration, and requests that are relayed to the device |
//! | `queue`, `queue_stop` | starting and stopping a queue |
//!
//! The workers of the data plane ([`forward`](crate::forward)) move the requests.

mod answer;
mod device_config;
mod device_session;
mod event;
mod queue;
mod queue_stop;
mod reconnect;
mod seeker;
mod sockets;
mod vmm_memory;
mod vmm_requests;
mod vmm_session;

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::Features;
use thiserror::Error;

use crate::area::policy::Policy;
use crate::area::{Area, AreaError, ShareError};
use crate::block_limits;
use crate::device_link::{Budget, DeviceLink, Handshake};
use crate::device_type::DeviceType;
use crate::endpoint::{Connector, Endpoint};
use crate::forward::{Quarantine, Workers};
use crate::guest_memory::GuestMemory;
use crate::negotiation::RingChoice;
use crate::poller::Poller;
use device_config::KnownConfig;
use event::Event;
use queue::Queue;
use seeker::Seeker;
pub use sockets::Sockets;
use vmm_session::Vmm;

/// The usual size of a queue. The process does not start if the isolated area has no room for it.
const USUAL_SIZE: u16 = 256;

/// The options of the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// How to connect to the VMM.
    pub vmm: Endpoint,
    /// How to connect to the device.
    pub device: Endpoint,
    /// The type of the device.
    pub device_type: DeviceType,
    /// The size of the isolated area in bytes.
    pub area_size: u64,
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

/// The state of the control thread.
#[derive(Debug)]
pub struct Host {
    options: Options,
    poller: Poller<Event>,
    workers: Workers,
    /// Receives a byte for each SIGUSR1.
    signals: UnixStream,
    vmm_connector: Connector,
    vmm: Vmm,
    device: Option<DeviceLink>,
    /// A connection to a device that has not replied to the handshake yet.
    handshake: Option<Handshake>,
    /// How long the VMM may still wait for the next device.
    budget: Budget,
    /// When the last device was disconnected.
    lost: Instant,
    seeker: Seeker,
    /// What the VMM is offered. A device that connects later has to support it.
    offer: Offer,
    memory: GuestMemory,
    quarantine: Quarantine,
    queues: Vec<Queue>,
    /// The parts of the configuration that the device has replied last.
    config: KnownConfig,
}

/// What a device offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    features: u64,
    protocol: u64,
    queues: u16,
}

impl Host {
    /// Waits for the first device that can be used, and prepares its queues.
    ///
    /// # Errors
    ///
    /// [`HostError`] if there will be no device, or the isolated area is too small for its queues.
    pub fn new(options: Options, sockets: Sockets, workers: Workers) -> Result<Self, HostError> {
        let Sockets { vmm: vmm_connector, device, signals } = sockets;
        let mut seeker = Seeker::new(device, options.device.clone());
        let budget = Budget::new(options.device_wait);
        let link = seeker.meet_first(options.ring, budget)?;
        let offer = Offer::of(&link, &options);
        let Offer { features, protocol, queues } = offer;
        tracing::info!(
            "the device offers features {features:#x}, protocol features {protocol:#x}, {queues} queues"
        );
        let share = Area::new(options.area_size, queues)?.share(0, USUAL_SIZE, Features::empty());
        share.map_err(|source| HostError::Share { queues, source })?;
        let queues: io::Result<Vec<Queue>> = (0..queues).map(|_| Queue::new()).collect();
        let quarantine = Quarantine::new(Arc::clone(workers.report()));
        let host = Self {
            poller: Poller::new().map_err(HostError::Poll)?,
            options,
            workers,
            signals,
            vmm_connector,
            vmm: Vmm::Absent,
            device: Some(link),
            handshake: None,
            budget,
            lost: Instant::now(),
            seeker,
            offer,
            memory: GuestMemory::default(),
            quarantine,
            queues: queues.map_err(HostError::Poll)?,
            config: KnownConfig::default(),
        };
        host.register().map_err(HostError::Poll)?;
        let queues: Vec<_> = host.queues.iter().map(Queue::share).collect();
        host.workers.assign(&queues, host.options.max_poll);
        Ok(host)
    }

    /// Adds what is open at the start to the poller.
    fn register(&self) -> io::Result<()> {
        if let Some(link) = &self.device {
            self.poller.add(link, Event::Device)?;
            if let Some(backend) = link.backend_channel() {
                self.poller.add(backend, Event::BackendChannel)?;
            }
        }
        if let Some(listener) = self.vmm_connector.listener() {
            self.poller.add(listener, Event::Listener)?;
        }
        self.poller.add(&self.signals, Event::Signal)?;
        self.poller.add_notifier(self.workers.report(), Event::Workers)
    }

    /// Forwards until the VMM has gone and no other can connect.
    ///
    /// # Errors
    ///
    /// [`HostError`] if waiting for events fails, or the device has gone and cannot come back.
    pub fn run(mut self) -> Result<(), HostError> {
        while self.connect_peers()? {
            self.poll_stop();
            self.relay_config_change();
            self.admit_suspects();
            for event in self.wait().map_err(HostError::Poll)? {
                self.handle(event);
            }
        }
        tracing::info!("the VMM has gone and cannot come back");
        Ok(())
    }

    /// Waits for events.
    fn wait(&mut self) -> io::Result<Vec<Event>> {
        let ready: Vec<Event> = self.poller.wait(Some(Duration::ZERO))?.collect();
        if !ready.is_empty() {
            return Ok(ready);
        }
        self.refill_budget();
        Ok(self.poller.wait(self.timeout())?.collect())
    }

    /// Allows long waits for the device again, because no message of the VMM is waiting.
    fn refill_budget(&mut self) {
        self.budget.refill();
        self.device.iter_mut().for_each(DeviceLink::refill_budget);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Listener => self.accept_vmm(),
            Event::Vmm => self.receive_from_vmm(),
            Event::Device => self.receive_from_device(),
            Event::BackendChannel => {
                if let Some(link) = &mut self.device {
                    link.serve_backend_channel();
                }
            }
            Event::Signal => self.log_statistics(),
            Event::Workers => self.check_faults(),
        }
    }

    /// Disconnects a device that has broken a queue.
    ///
    /// Workers report two other things: the progress of a queue that is being stopped, and that
    /// suspects wait for admission. [`run`](Self::run) checks both after every event.
    fn check_faults(&mut self) {
        let found =
            self.queues.iter().enumerate().find_map(|(index, queue)| Some((index, queue.lock().fault?)));
        if let Some((index, violation)) = found {
            self.lose_device(&format!("it broke queue {index}: {violation}"));
        }
    }

    /// Has all queues look for work when a request that waits for the quarantine can be submitted.
    fn admit_suspects(&self) {
        if self.quarantine.take_vacancy(Instant::now()) {
            (0..self.queues.len()).for_each(|index| self.wake(index));
        }
    }

    /// Logs what each queue has done, in response to SIGUSR1.
    fn log_statistics(&mut self) {
        let _ = (&self.signals).read(&mut [0; 64]);
        let state = |connected| if connected { "connected" } else { "absent" };
        let (vmm, device) = (state(self.vmm.session().is_some()), state(self.device.is_some()));
        tracing::info!("VMM {vmm}, device {device}");
        for (index, queue) in self.queues.iter().enumerate() {
            if let Some(forwarded) = &queue.lock().queue {
                let (used, all) = forwarded.used_of_share();
                let in_flight = forwarded.in_flight();
                tracing::info!(
                    "queue {index}: {}; {in_flight} in flight, {used} of {all} bytes of the area in use",
                    forwarded.statistics
                );
            }
        }
    }

    /// Returns how long to wait for events.
    fn timeout(&self) -> Option<Duration> {
        let handshake = self.handshake.as_ref().and_then(Handshake::deadline);
        let reply = self.device.as_ref().and_then(DeviceLink::deadline);
        let deadlines = [
            self.seeker.reconnect.deadline(),
            handshake,
            reply,
            self.grace_deadline(),
            self.vmm.deadline(),
            self.quarantine.deadline(),
        ];
        let deadline = deadlines.into_iter().flatten().min()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

impl Offer {
    fn of(link: &DeviceLink, options: &Options) -> Self {
        let device_type = options.device_type;
        let reported = link.queues.map(|units| units.saturating_mul(device_type.queues_per_unit()));
        let queues = reported.unwrap_or(device_type.usual_queues().into());
        let queues = u16::try_from(queues).map_or(options.queues, |queues| queues.min(options.queues));
        let features = link.features | block_limits::emulated(device_type);
        Self { features, protocol: link.protocol, queues: queues.max(1) }
    }
}
