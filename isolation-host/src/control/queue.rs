//! A queue of the VMM: its configuration, its start, and its device.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use ring_core::{Areas, Features, Setup};
use thiserror::Error;

use super::Control;
use super::event::Action;
use crate::area::ShareError;
use crate::device_link::LinkError;
use crate::device_type::AtStop;
use crate::error_chain::ErrorChain;
use crate::forward::{ActiveQueue, DeviceRing, ForwardedQueue, QueueCounters, QueueEvent};
use crate::guest_memory::GuestMemory;
use crate::protocol::features::PROTOCOL_FEATURES;
use crate::protocol::payload::VringAddr;
use crate::{negotiation, notifier};

/// A queue: what the VMM has configured, and what the queue's worker runs.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) size: u16,
    pub(super) areas: Option<VringAddr>,
    pub(super) base: u32,
    /// The vring base at which the queue was stopped, unless the device was reset since.
    pub(super) stopped_at: Option<u32>,
    /// Whether the VMM has started the queue at the position at which it was stopped.
    resumed: bool,
    /// The guest's notifications.
    pub(super) kick: Option<Arc<OwnedFd>>,
    pub(super) enabled: bool,
    /// Whether the device was last told to enable the queue; `None` if the device was told nothing.
    enabled_on_device: Option<bool>,
    /// The device's notifications.
    device_call: Arc<OwnedFd>,
    /// What the queue has done since the process started.
    pub(super) counters: Arc<QueueCounters>,
    active: Arc<Mutex<ActiveQueue>>,
}

/// The queue cannot be started.
#[derive(Debug, Error)]
pub(super) enum StartError {
    /// The VMM has not set the addresses.
    #[error("queue {index} has no addresses yet")]
    Incomplete {
        /// The queue.
        index: usize,
    },
    /// An address is not in the guest's memory.
    #[error("queue {index}: address {address:#x} is not in a memory region")]
    NoRegion {
        /// The queue.
        index: usize,
        /// The address in the VMM's address space.
        address: u64,
    },
    /// The ring's size, addresses or position are invalid.
    #[error("invalid configuration of queue {index}")]
    Setup {
        /// The queue.
        index: usize,
        /// What is invalid.
        source: ring_core::SetupError,
    },
}

/// The queue cannot be given to the device.
#[derive(Debug, Error)]
pub(super) enum AttachError {
    /// The isolated area has no room for the queue.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The ring's size or addresses are invalid.
    #[error(transparent)]
    Ring(#[from] ring_core::SetupError),
    /// The device does not take the queue.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The process has too many open files.
    #[error("cannot make the device's notifications")]
    Descriptors(#[source] io::Error),
}

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            size: 0,
            areas: None,
            base: 0,
            stopped_at: None,
            resumed: false,
            kick: None,
            enabled: false,
            enabled_on_device: None,
            device_call: Arc::new(notifier::new()?),
            counters: Arc::default(),
            active: Arc::new(Mutex::new(ActiveQueue::new())),
        })
    }

    /// Locks the state that the worker runs. The queue does not move requests while the lock is
    /// held.
    pub(super) fn lock(&self) -> MutexGuard<'_, ActiveQueue> {
        self.active.lock()
    }

    /// Returns the state that the worker runs.
    pub(super) fn share(&self) -> Arc<Mutex<ActiveQueue>> {
        Arc::clone(&self.active)
    }

    pub(super) fn is_started(&self) -> bool {
        self.lock().queue.is_some()
    }

    pub(super) fn device_call(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.device_call)
    }

    /// Forgets what a VMM has configured.
    pub(super) fn forget(&mut self) {
        (self.areas, self.kick, self.size, self.base, self.enabled) = (None, None, 0, 0, false);
        self.stopped_at = None;
        let mut active = self.lock();
        (active.call, active.error, active.watched) = (None, None, false);
    }

    /// Returns the setup of the guest's ring, in guest addresses.
    fn setup(&self, index: usize, memory: &GuestMemory, features: Features) -> Result<Setup, StartError> {
        let areas = self.areas.ok_or(StartError::Incomplete { index })?;
        let guest = |address| memory.guest_address(address).ok_or(StartError::NoRegion { index, address });
        Ok(Setup::new(
            self.size,
            features,
            Areas {
                descriptor: guest(areas.descriptor)?,
                driver: guest(areas.driver)?,
                device: guest(areas.device)?,
            },
        ))
    }
}

impl Control {
    /// Starts a queue whose kick file descriptor has just arrived.
    pub(super) fn start_queue(&mut self, index: usize, now: Instant) -> Result<(), StartError> {
        let (Some(session), Some(queue)) = (self.vmm.session(), self.queues.get_mut(index)) else {
            return Ok(());
        };
        let features = negotiation::ring(session.features);
        let setup = queue.setup(index, &self.memory, features)?;
        let packed = features.contains(Features::RING_PACKED);
        // An in-order queue needs no journal: its position says which requests are in flight.
        let journals = session.journals.as_ref().filter(|_| !features.contains(Features::IN_ORDER));
        let journal = journals.and_then(|journals| journals.queue(index, queue.size, packed));
        let device_type = self.options.device_type;
        let mut forwarded =
            ForwardedQueue::new(self.memory.clone(), &setup, queue.base, device_type, journal)
                .map_err(|source| StartError::Setup { index, source })?;
        tracing::debug!("queue {index} starts at {:#x}: {setup:?}", queue.base);
        forwarded.share_quarantine(self.quarantine.clone());
        forwarded.share_counters(Arc::clone(&queue.counters));
        queue.resumed = queue.stopped_at.take() == Some(queue.base);
        let mut active = queue.lock();
        active.queue = Some(forwarded);
        active.notify_guest();
        drop(active);
        if let Some(fd) = queue.kick.clone() {
            self.actions.push(Action::Listen { index, fd, event: QueueEvent::Kick(number(index)) });
        }
        self.attach_or_lose(index, now);
        Ok(())
    }

    /// Gives a started queue to the device. Disconnects a device that does not take the queue.
    fn attach_or_lose(&mut self, index: usize, now: Instant) {
        match self.attach(index) {
            Ok(()) => {}
            Err(AttachError::Link(error)) => self.lose_device(&ErrorChain(&error).to_string(), now),
            // Another device would not help.
            Err(error) => tracing::error!("cannot forward queue {index}: {}", ErrorChain(&error)),
        }
    }

    /// Gives all started queues that the device does not have to the device.
    pub(super) fn attach_all(&mut self, now: Instant) {
        for index in 0..self.queues.len() {
            if self.queues.get(index).is_some_and(|queue| !queue.lock().is_attached()) {
                self.attach_or_lose(index, now);
            }
        }
    }

    fn attach(&mut self, index: usize) -> Result<(), AttachError> {
        let queues = self.offer().queues;
        let (Some(link), Some(queue)) = (self.device.link_mut(), self.queues.get_mut(index)) else {
            return Ok(());
        };
        // A device that is still stopping a queue uses its share of the isolated area.
        if !queue.is_started() || link.is_stopping() {
            return Ok(());
        }
        let features = link.ring_features();
        let area = link.area(self.options.area_size, queues)?;
        let window = area.window().clone();
        let share = area.share(index, self.options.link.ring_size(queue.size), features)?;
        let setup = share.setup;
        // A device mistakes a ring at any other position for the ring of a driver that was reset.
        let left = link.left_at(number(index).into()).filter(|_| queue.resumed);
        let ring = DeviceRing::new(window, share, self.options.policy, left)?;
        // Each connection has notifications of its own, so that an earlier device can neither send
        // nor consume them.
        let (device_kick, kick) = self.options.link.kick().map_err(AttachError::Descriptors)?;
        self.actions.push(Action::Ignore { index, fd: queue.device_call() });
        queue.device_call = Arc::new(notifier::new().map_err(AttachError::Descriptors)?);
        let event = QueueEvent::Call(number(index));
        self.actions.push(Action::Listen { index, fd: queue.device_call(), event });
        let (kicked, called) = (device_kick.as_fd(), queue.device_call.as_fd());
        link.start_queue(number(index).into(), &setup, ring.position(), kicked, called)?;
        let mut active = queue.lock();
        active.attach(ring, kick);
        // This notification is not required for a device that looks at the ring when it starts, but
        // is harmless.
        active.notify_device();
        drop(active);
        queue.enabled_on_device = None;
        self.apply_enable(index);
        Ok(())
    }

    /// Enables or disables a queue as the VMM has configured it.
    pub(super) fn apply_enable(&mut self, index: usize) {
        let negotiated = self.vmm.features() & PROTOCOL_FEATURES != 0;
        let at_stop = self.options.device_type.at_stop(index);
        let Some(queue) = self.queues.get_mut(index) else { return };
        let enabled = queue.enabled || !negotiated;
        let (attached, unfinished) = match &mut queue.lock().queue {
            Some(forwarded) => {
                // A queue without a kick is being stopped, and takes nothing from the guest even if
                // the device is replaced meanwhile.
                forwarded.accept(enabled && queue.kick.is_some());
                (forwarded.is_attached(), forwarded.in_flight() > 0 && at_stop != AtStop::Unpop)
            }
            None => return,
        };
        // Many devices do not finish requests that they have not fetched when their queue is
        // disabled. So a queue with requests in flight stays enabled on the device, and no more
        // requests are submitted.
        let enable = enabled || unfinished;
        // A queue that waits for the device is enabled when the device gets it.
        let before = if attached { queue.enabled_on_device.replace(enable) } else { Some(enable) };
        self.wake(index);
        if let Some(link) = self.device.link_mut().filter(|_| before != Some(enable)) {
            link.enable(number(index).into(), enable);
        }
    }

    /// Notifies the device of a queue that the device has just enabled.
    ///
    /// The crate vhost-user-backend, which many devices use, drops notifications that arrive before
    /// the queue is enabled, and does not look at the ring when the queue is enabled.
    pub(super) fn notify_device(&self, index: u32) {
        let queue = usize::try_from(index).ok().and_then(|index| self.queues.get(index));
        if let Some(queue) = queue {
            queue.lock().notify_device();
        }
    }

    /// Lets the worker look for work on a queue.
    pub(super) fn wake(&mut self, index: usize) {
        if let Some(queue) = self.queues.get(index) {
            queue.lock().mark_ready();
            self.actions.push(Action::Wake(index));
        }
    }

    /// Returns the number of requests on a queue that the guest has not got back.
    pub(super) fn in_flight(&self, index: usize) -> usize {
        self.queues.get(index).map_or(0, |queue| queue.lock().in_flight())
    }

    /// Returns whether the requests in flight on a queue survive the end of this process.
    pub(super) fn has_journal(&self, index: usize) -> bool {
        let queue = self.queues.get(index);
        queue.is_some_and(|queue| queue.lock().queue.as_ref().is_some_and(ForwardedQueue::has_journal))
    }
}

/// Converts the index of a queue that exists. There are at most 256.
pub(super) fn number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
