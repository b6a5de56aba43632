//! One queue of the VMM's, from its configuration to its end.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use ring_core::{Areas, Features, Setup};
use thiserror::Error;

use super::lane::{Lane, signal};
use super::{Host, Source};
use crate::area::ShareError;
use crate::causes::WithCauses;
use crate::device_link::LinkError;
use crate::device_type::AtStop;
use crate::forward::{DeviceEnd, Shadow, ShadowError};
use crate::guest_memory::GuestMemory;
use crate::protocol::features::PROTOCOL_FEATURES;
use crate::protocol::payload::VringAddr;
use crate::{negotiation, notifier};

/// A queue: what the VMM has said of it, and what moves while it is started.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) size: u16,
    pub(super) areas: Option<VringAddr>,
    pub(super) base: u32,
    /// From the guest.
    pub(super) kick: Option<OwnedFd>,
    pub(super) enabled: bool,
    /// Whether the device was told to work on it, since it was given to the device.
    told: Option<bool>,
    /// From the device.
    device_call: OwnedFd,
    lane: Arc<Mutex<Lane>>,
}

/// A queue cannot be started.
#[derive(Debug, Error)]
pub(super) enum StartError {
    /// The VMM has not said enough.
    #[error("queue {index} has no size or no place yet")]
    Incomplete {
        /// The queue.
        index: usize,
    },
    /// An area is at an address that is no memory of the guest.
    #[error("queue {index}: {address:#x} is not in a memory region")]
    NoRegion {
        /// The queue.
        index: usize,
        /// The address, in the VMM's terms.
        address: u64,
    },
    /// The guest's ring is impossible.
    #[error("queue {index} is impossible")]
    Guest {
        /// The queue.
        index: usize,
        /// What is wrong with it.
        source: ShadowError,
    },
    /// File descriptors cannot be waited for.
    #[error("queue {index} cannot be waited for")]
    Poll {
        /// The queue.
        index: usize,
        /// Why not.
        source: io::Error,
    },
}

/// A queue cannot be given to the device.
#[derive(Debug, Error)]
pub(super) enum AttachError {
    /// There is no room for it.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The ring is impossible.
    #[error(transparent)]
    Ring(#[from] ring_core::SetupError),
    /// The device does not take it.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The process may have no more of them.
    #[error("no file descriptors are left")]
    Descriptors(#[source] io::Error),
    /// The device's notifications cannot be waited for.
    #[error("the device's notifications cannot be waited for")]
    Poll(#[source] io::Error),
}

impl Queue {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            size: 0,
            areas: None,
            base: 0,
            kick: None,
            enabled: false,
            told: None,
            device_call: notifier::new()?,
            lane: Arc::new(Mutex::new(Lane::new())),
        })
    }

    /// What moves, which stands still until the lock is gone.
    pub(super) fn lane(&self) -> MutexGuard<'_, Lane> {
        self.lane.lock()
    }

    /// What moves, for the worker that is to move it.
    pub(super) fn share_lane(&self) -> Arc<Mutex<Lane>> {
        Arc::clone(&self.lane)
    }

    /// Whether it has been started.
    pub(super) fn is_started(&self) -> bool {
        self.lane().shadow.is_some()
    }

    /// Forgets what a VMM has said of it.
    pub(super) fn forget(&mut self) {
        (self.areas, self.kick, self.size, self.base, self.enabled) = (None, None, 0, 0, false);
        let mut lane = self.lane();
        (lane.call, lane.error, lane.watched) = (None, None, false);
    }

    /// Where the guest's ring is, in guest addresses.
    fn setup(&self, index: usize, memory: &GuestMemory, features: Features) -> Result<Setup, StartError> {
        let areas = self.areas.ok_or(StartError::Incomplete { index })?;
        let place = |address| memory.guest_address(address).ok_or(StartError::NoRegion { index, address });
        Ok(Setup::new(
            self.size,
            features,
            Areas {
                descriptor: place(areas.descriptor)?,
                driver: place(areas.driver)?,
                device: place(areas.device)?,
            },
        ))
    }
}

impl Host {
    /// Starts a queue whose kick has just arrived.
    pub(super) fn start_queue(&mut self, index: usize) -> Result<(), StartError> {
        let (Some(session), Some(queue)) = (self.vmm.session(), self.queues.get_mut(index)) else {
            return Ok(());
        };
        let features = negotiation::ring(session.features);
        let setup = queue.setup(index, &self.memory, features)?;
        let packed = features.contains(Features::RING_PACKED);
        // An in-order queue needs none: what is in flight there is what its position says.
        let journals = session.journals.as_ref().filter(|_| !features.contains(Features::IN_ORDER));
        let journal = journals.and_then(|journals| journals.queue(index, queue.size, packed));
        let shadow = Shadow::new(self.memory.clone(), &setup, queue.base, self.options.device_type, journal)
            .map_err(|source| StartError::Guest { index, source })?;
        tracing::debug!("queue {index} starts at {:#x}: {setup:?}", queue.base);
        queue.lane().shadow = Some(shadow);
        if let Some(kick) = &queue.kick {
            let listening = self.workers.listen(index, kick, Source::GuestKick(number(index)));
            listening.map_err(|source| StartError::Poll { index, source })?;
        }
        self.attach_or_lose(index);
        Ok(())
    }

    /// Gives a started queue to the device. A device that does not take it is lost.
    pub(super) fn attach_or_lose(&mut self, index: usize) {
        match self.attach(index) {
            Ok(()) => {}
            Err(AttachError::Link(error)) => self.lose_device(&WithCauses(&error).to_string()),
            // No other device could change that.
            Err(error) => tracing::error!("queue {index} is not forwarded: {}", WithCauses(&error)),
        }
    }

    fn attach(&mut self, index: usize) -> Result<(), AttachError> {
        let (Some(link), Some(queue)) = (&mut self.device, self.queues.get_mut(index)) else { return Ok(()) };
        if !queue.is_started() {
            return Ok(());
        }
        let features = link.ring_features();
        let area = link.area(self.options.area_size, self.offer.queues)?;
        let window = area.window().clone();
        let share = area.share(index, queue.size, features)?;
        let setup = share.setup;
        let end = DeviceEnd::new(window, share)?;
        // Of new notifications an earlier device knows nothing, whatever became of it.
        let (device_kick, kick) = notifier::pair().map_err(AttachError::Descriptors)?;
        self.workers.ignore(index, &queue.device_call);
        queue.device_call = notifier::new().map_err(AttachError::Descriptors)?;
        let listening = self.workers.listen(index, &queue.device_call, Source::DeviceCall(number(index)));
        listening.map_err(AttachError::Poll)?;
        link.start_queue(number(index).into(), &setup, device_kick.as_fd(), queue.device_call.as_fd())?;
        // What was added before the device began to look at the ring needs no notification, but it costs little.
        notifier::notify(&kick);
        queue.lane().attach(end, kick);
        queue.told = None;
        self.apply_enable(index)?;
        Ok(())
    }

    /// Lets a queue work or pauses it, as the VMM wants it.
    pub(super) fn apply_enable(&mut self, index: usize) -> Result<(), LinkError> {
        let negotiated = self.vmm.features() & PROTOCOL_FEATURES != 0;
        let at_stop = self.options.device_type.at_stop(index);
        let Some(queue) = self.queues.get_mut(index) else { return Ok(()) };
        let enabled = queue.enabled || !negotiated;
        let unfinished = match &mut queue.lane().shadow {
            Some(shadow) => {
                // A queue without a kick is being stopped, and stays so if the device is replaced meanwhile.
                shadow.accept(enabled && queue.kick.is_some());
                shadow.in_flight() > 0 && at_stop != AtStop::HandBack
            }
            None => return Ok(()),
        };
        // Many devices leave alone what they have not fetched when their queue is paused. What the guest wants done
        // is done first; that nothing follows is isolation-host's affair.
        let works = enabled || unfinished;
        let told = queue.told.replace(works);
        self.wake(index);
        match self.device.as_mut().filter(|_| told != Some(works)) {
            Some(link) => link.enable(number(index).into(), works),
            None => Ok(()),
        }
    }

    /// Has a queue looked at that may have something to do now.
    pub(super) fn wake(&self, index: usize) {
        if let Some(queue) = self.queues.get(index) {
            queue.lane().wake();
            self.workers.wake(index);
        }
    }

    /// Takes no more from the guest on this queue, and reports what comes back there.
    pub(super) fn close_queue(&mut self, index: usize) {
        if let Some(queue) = self.queues.get_mut(index) {
            if let Some(kick) = queue.kick.take() {
                self.workers.ignore(index, &kick);
            }
            let mut lane = queue.lane();
            lane.watched = true;
            if let Some(shadow) = &mut lane.shadow {
                shadow.accept(false);
            }
        }
    }

    /// Requests of a queue that the guest has not got back.
    pub(super) fn in_flight(&self, index: usize) -> usize {
        self.queues.get(index).map_or(0, |queue| queue.lane().in_flight())
    }

    /// Whether the requests of a queue are noted where they outlive this process.
    pub(super) fn has_journal(&self, index: usize) -> bool {
        let queue = self.queues.get(index);
        queue.is_some_and(|queue| queue.lane().shadow.as_ref().is_some_and(Shadow::has_journal))
    }

    /// Ends a queue. Returns its vring base.
    pub(super) fn end_queue(&mut self, index: usize) -> u32 {
        self.close_queue(index);
        let Some(queue) = self.queues.get_mut(index) else { return 0 };
        if !queue.is_started() {
            return queue.base;
        }
        self.workers.ignore(index, &queue.device_call);
        let stopped = self.device.as_mut().map(|link| link.stop_queue(number(index).into()));
        let (shadow, call) = {
            let mut lane = queue.lane();
            lane.watched = false;
            (lane.shadow.take(), lane.call.take())
        };
        let Some(mut shadow) = shadow else { return queue.base };
        let (notify, left) = shadow.surrender();
        signal(call.as_ref(), notify);
        queue.lane().call = call;
        queue.base = shadow.vring_base();
        let base = queue.base;
        tracing::debug!("queue {index} ends at {base:#x}: {}", shadow.statistics);
        match stopped {
            Some(Err(error)) => self.lose_device(&WithCauses(&error).to_string()),
            // It may still be at it, and those requests will be made again: they must not be done twice, in any
            // order. Only a device that is gone does nothing any more.
            Some(Ok(_)) if left > 0 && self.options.device_type.at_stop(index) == AtStop::Finish => {
                self.lose_device(&format!("queue {index} was stopped with {left} requests unfinished"));
            }
            _ => {}
        }
        base
    }
}

/// The number of a queue that exists: there are at most 256.
fn number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}
