//! The process: one thread for the two sockets, and others that move requests.
//!
//! It stands between a VMM, to which it is the device, and a device, to which it is the VMM. Either may go away
//! and come back. What each event means is in a file of its own: the VMM's `requests`, which have to do with what it is
//! `sharing`, with queues (`queue`, `stop`) or with the device alone (`passing`); coming and going of the VMM (`vmm`) and
//! of the device (`device`, `retry`). What moves in a queue is its `lane`, which a `worker` runs.

mod device;
mod lane;
mod passing;
mod patience;
mod poller;
mod queue;
mod requests;
mod retry;
mod sharing;
mod stop;
mod vmm;
mod worker;

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ring_core::Features;
use signal_hook::consts::SIGUSR1;
use signal_hook::low_level::pipe;
use thiserror::Error;

use crate::area::{Area, AreaError, ShareError};
use crate::block_limits;
use crate::device_link::{DeviceLink, Greeting, LinkError};
use crate::device_type::DeviceType;
use crate::endpoint::{Door, Endpoint};
use crate::guest_memory::GuestMemory;
use crate::negotiation::{NegotiationError, RingChoice};
use poller::{Poller, Source};
use queue::Queue;
use retry::Retry;
use vmm::Vmm;
pub use worker::{NoWorkers, Workers};

/// The most queues that the protocol can name in all its messages.
pub const MOST_QUEUES: u16 = 256;

/// The size that queues usually have at most. There has to be room for one, or the operator hears of it at once.
const USUAL_SIZE: u16 = 256;

/// What is asked of the process.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the VMM is to be found.
    pub vmm: Endpoint,
    /// Where the device is to be found.
    pub device: Endpoint,
    /// What kind of device it is.
    pub device_type: DeviceType,
    /// Size of the isolated area in bytes.
    pub area_size: u64,
    /// The most queues that are offered to the VMM, up to [`MOST_QUEUES`].
    pub queues: u16,
    /// The ring format that the device is to use.
    pub ring: RingChoice,
    /// How long requests may take to finish when a queue is stopped.
    pub drain: Duration,
    /// How many threads move requests.
    pub threads: usize,
    /// The longest that each of them polls before it sleeps.
    pub poll: Duration,
}

/// Everything has come to an end.
#[derive(Debug, Error)]
pub enum HostError {
    /// A socket cannot be made.
    #[error("{endpoint} cannot be opened")]
    Open {
        /// Which one.
        endpoint: Endpoint,
        /// Why not.
        source: io::Error,
    },
    /// There is no connection, and never will be one.
    #[error("{endpoint} does not lead to a peer")]
    NoPeer {
        /// Which one.
        endpoint: Endpoint,
        /// Why not.
        source: io::Error,
    },
    /// The device is none that isolation-host can work with.
    #[error("the device cannot be used")]
    Device(#[from] LinkError),
    /// The device's features do not go with the options.
    #[error("the device cannot be used")]
    Features(#[from] NegotiationError),
    /// There is no memory for the device.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// There is too little for each of its queues.
    #[error("the device has {queues} queues")]
    Room {
        /// How many there are.
        queues: u16,
        /// How much there is for each.
        source: ShareError,
    },
    /// Waiting failed.
    #[error("events cannot be waited for")]
    Poll(#[source] io::Error),
}

/// All that has to be opened by name, before the process may open nothing any more.
#[derive(Debug)]
pub struct Doors {
    vmm: Door,
    device: Door,
    signals: UnixStream,
}

impl Doors {
    /// Opens the sockets, and listens for SIGUSR1.
    ///
    /// # Errors
    ///
    /// [`HostError`] if one cannot be opened.
    pub fn open(options: &Options) -> Result<Self, HostError> {
        let open = |endpoint: &Endpoint| {
            Door::open(endpoint).map_err(|source| HostError::Open { endpoint: endpoint.clone(), source })
        };
        let (vmm, device) = (open(&options.vmm)?, open(&options.device)?);
        let (signals, sender) = UnixStream::pair().map_err(HostError::Poll)?;
        signals.set_nonblocking(true).map_err(HostError::Poll)?;
        pipe::register(SIGUSR1, sender).map_err(HostError::Poll)?;
        Ok(Self { vmm, device, signals })
    }
}

/// The process.
#[derive(Debug)]
pub struct Host {
    options: Options,
    poller: Poller,
    workers: Workers,
    /// A byte for each request to print statistics.
    signals: UnixStream,
    vmm_door: Door,
    device_door: Door,
    vmm: Vmm,
    device: Option<DeviceLink>,
    /// A device that has not answered yet what it offers.
    greeting: Option<Greeting>,
    /// When there was a device last, if there is none.
    lost: Instant,
    /// It was said already why the device's socket leads nowhere.
    unreachable: bool,
    retry: Retry,
    /// What the VMM is offered; a device that comes later has to be able to do it, too.
    offer: Offer,
    memory: GuestMemory,
    queues: Vec<Queue>,
    /// The last answer about the configuration, for VMMs that ask while there is no device.
    configuration: Option<Vec<u8>>,
}

/// What a device offers, apart from connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Offer {
    features: u64,
    protocol: u64,
    queues: u16,
}

impl Host {
    /// Gets to know the device, which may take until the device is started.
    ///
    /// # Errors
    ///
    /// [`HostError`] if the device is none.
    pub fn new(options: Options, doors: Doors, workers: Workers) -> Result<Self, HostError> {
        let Doors { vmm: vmm_door, device: mut device_door, signals } = doors;
        let poller = Poller::new().map_err(HostError::Poll)?;
        let link = device::first(&mut device_door, &options)?;
        let offer = Offer::of(&link, &options);
        tracing::info!(
            "the device offers features {:#x}, protocol features {:#x}, {} queues",
            offer.features,
            offer.protocol,
            offer.queues
        );
        let room = Area::new(options.area_size, offer.queues)?.share(0, USUAL_SIZE, Features::empty());
        room.map_err(|source| HostError::Room { queues: offer.queues, source })?;
        poller.add(&link, Source::Device).map_err(HostError::Poll)?;
        if let Some(requests) = link.requests() {
            poller.add(requests, Source::DeviceRequest).map_err(HostError::Poll)?;
        }
        poller.add(&signals, Source::Signal).map_err(HostError::Poll)?;
        if let Some(listener) = vmm_door.listener() {
            poller.add(listener, Source::Door).map_err(HostError::Poll)?;
        }
        poller.add_notifier(workers.report(), Source::Bell).map_err(HostError::Poll)?;
        let queues = (0..offer.queues).map(|_| Queue::new()).collect::<io::Result<Vec<_>>>();
        let queues = queues.map_err(HostError::Poll)?;
        workers.assign(&queues.iter().map(Queue::share_lane).collect::<Vec<_>>(), options.poll);
        Ok(Self {
            options,
            poller,
            workers,
            signals,
            vmm_door,
            device_door,
            vmm: Vmm::Absent,
            device: Some(link),
            greeting: None,
            lost: Instant::now(),
            unreachable: false,
            retry: Retry::default(),
            offer,
            memory: GuestMemory::default(),
            queues,
            configuration: None,
        })
    }

    /// Forwards until there is nobody left to forward for.
    ///
    /// # Errors
    ///
    /// [`HostError`] if events cannot be waited for, or the device is gone and cannot come back.
    pub fn run(mut self) -> Result<(), HostError> {
        while self.seek_peers()? {
            self.finish_stops();
            self.relay_config_change();
            for source in self.poller.wait(self.next_deadline()).map_err(HostError::Poll)? {
                self.dispatch(source);
            }
        }
        tracing::info!("there is nobody left to forward for");
        Ok(())
    }

    fn dispatch(&mut self, source: Source) {
        match source {
            Source::Door => self.admit_vmm(),
            Source::Vmm => self.hear_vmm(),
            Source::Device => self.hear_device(),
            Source::DeviceRequest => self.device.iter_mut().for_each(DeviceLink::hear_requests),
            Source::Signal => self.print_statistics(),
            Source::Bell => self.hear_workers(),
            // The workers wait for these.
            Source::GuestKick(_) | Source::DeviceCall(_) => {}
        }
    }

    /// A worker has something to say: a device has broken a queue, or requests have come back that are waited for,
    /// which is seen to in every round anyway.
    fn hear_workers(&mut self) {
        let found =
            self.queues.iter().enumerate().find_map(|(index, queue)| Some((index, queue.lane().fault?)));
        if let Some((index, violation)) = found {
            self.lose_device(&format!("it broke queue {index}: {violation}"));
        }
    }

    /// Says what each queue has done.
    fn print_statistics(&mut self) {
        let _ = (&self.signals).read(&mut [0; 64]);
        let there = |connected| if connected { "connected" } else { "absent" };
        let (vmm, device) = (there(self.vmm.session().is_some()), there(self.device.is_some()));
        tracing::info!("VMM {vmm}, device {device}");
        for (index, queue) in self.queues.iter().enumerate() {
            if let Some(shadow) = &queue.lane().shadow {
                let (used, all) = shadow.used_of_share();
                let in_flight = shadow.in_flight();
                tracing::info!(
                    "queue {index}: {}; {in_flight} in flight, {used} of {all} bytes of the area in use",
                    shadow.statistics
                );
            }
        }
    }

    /// How long until something has to be done unasked.
    fn next_deadline(&self) -> Option<Duration> {
        let greeting = self.greeting.as_ref().map(Greeting::deadline);
        let deadlines = [self.retry.at(), greeting, self.grace(), self.vmm.deadline()];
        let deadline = deadlines.into_iter().flatten().min()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

impl Offer {
    fn of(link: &DeviceLink, options: &Options) -> Self {
        let usual = options.device_type.usual_queues().into();
        let said = link.queues.map(|queues| queues.saturating_mul(options.device_type.queues_per_unit()));
        let most = options.queues;
        let queues = u16::try_from(said.unwrap_or(usual)).map_or(most, |queues| queues.min(most));
        let features = link.features | block_limits::emulated(options.device_type);
        Self { features, protocol: link.protocol, queues: queues.max(1) }
    }
}
