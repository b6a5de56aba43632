//! One queue of the VMM's, from its configuration to its end.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use ring_core::{Features, Setup, Violation};
use thiserror::Error;

use super::{Host, Source, signal};
use crate::area::ShareError;
use crate::device_link::LinkError;
use crate::device_type::AtStop;
use crate::forward::{DeviceEnd, Shadow, ShadowError};
use crate::guest_memory::GuestMemory;
use crate::protocol::features::PROTOCOL_FEATURES;
use crate::protocol::payload::VringAddr;
use crate::{negotiation, notifier};

/// A queue: what the VMM has said of it, and, while it is started, the queue itself.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) size: u16,
    pub(super) areas: Option<VringAddr>,
    pub(super) base: u32,
    /// From the guest.
    pub(super) kick: Option<OwnedFd>,
    /// To the guest.
    pub(super) call: Option<OwnedFd>,
    /// To the VMM: the queue is broken.
    pub(super) error: Option<OwnedFd>,
    pub(super) enabled: bool,
    pub(super) shadow: Option<Shadow>,
    /// What the device was told of `enabled`, since the queue was given to it.
    told: Option<bool>,
    /// To the device.
    device_kick: OwnedFd,
    /// From the device.
    device_call: OwnedFd,
    /// Whether there may be something to do.
    ready: bool,
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
    #[error("queue {index}")]
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
            call: None,
            error: None,
            enabled: false,
            shadow: None,
            told: None,
            device_kick: notifier::new()?,
            device_call: notifier::new()?,
            ready: false,
        })
    }

    /// The guest has notified.
    pub(super) fn kicked(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.statistics.kicks_in += 1;
            self.ready = true;
        }
    }

    /// The device has notified.
    pub(super) fn called(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.statistics.calls_in += 1;
            self.ready = true;
        }
    }

    /// Something has changed that may give the queue something to do.
    pub(super) const fn wake(&mut self) {
        self.ready = true;
    }

    /// Moves what can be moved, if there may be anything. Returns whether there may be more.
    pub(super) fn run(&mut self, index: usize) -> Result<bool, Violation> {
        let Some(shadow) = self.shadow.as_mut().filter(|_| self.ready) else { return Ok(false) };
        let round = shadow.run()?;
        signal(self.call.as_ref(), round.call);
        signal(Some(&self.device_kick), round.kick);
        if let Some(violation) = round.guest_fault {
            tracing::warn!("the guest broke queue {index}: {violation}; it is idle until it is reset");
            signal(self.error.as_ref(), true);
        }
        self.ready = round.again;
        Ok(self.ready)
    }

    /// Where the guest's ring is, in guest addresses.
    fn setup(&self, index: usize, memory: &GuestMemory, features: Features) -> Result<Setup, StartError> {
        let areas = self.areas.ok_or(StartError::Incomplete { index })?;
        let place = |address| memory.guest_address(address).ok_or(StartError::NoRegion { index, address });
        Ok(Setup {
            size: self.size,
            features,
            descriptor_area: place(areas.descriptor)?,
            driver_area: place(areas.driver)?,
            device_area: place(areas.device)?,
        })
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
        queue.shadow = Some(shadow);
        if let Some(kick) = &queue.kick {
            let source = Source::GuestKick(u16::try_from(index).unwrap_or(u16::MAX));
            self.poller.add_notifier(kick, source).map_err(|source| StartError::Poll { index, source })?;
        }
        self.attach_or_lose(index);
        Ok(())
    }

    /// Gives a started queue to the device. If the device does not take it, it is lost.
    pub(super) fn attach_or_lose(&mut self, index: usize) {
        if let Err(error) = self.attach(index) {
            self.lose_device(&error.to_string());
        }
    }

    fn attach(&mut self, index: usize) -> Result<(), AttachError> {
        let (Some(link), Some(queue)) = (&mut self.device, self.queues.get_mut(index)) else { return Ok(()) };
        let Some(shadow) = &mut queue.shadow else { return Ok(()) };
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let features = link.ring_features();
        let area = link.area(self.options.area_size, self.offer.queues)?;
        let window = area.window().clone();
        let share = area.share(index, queue.size, features)?;
        let setup = share.setup;
        let end = DeviceEnd::new(window, share)?;
        self.poller.remove(&queue.device_call);
        let source = Source::DeviceCall(u16::try_from(index).unwrap_or(u16::MAX));
        self.poller.add_notifier(&queue.device_call, source).map_err(AttachError::Poll)?;
        link.start_queue(number, &setup, queue.device_kick.as_fd(), queue.device_call.as_fd())?;
        shadow.attach(end);
        queue.told = None;
        self.apply_enable(index)?;
        Ok(())
    }

    /// Lets a queue work or pauses it, as the VMM wants it.
    pub(super) fn apply_enable(&mut self, index: usize) -> Result<(), LinkError> {
        let acked = self.vmm.session().map_or(0, |session| session.features);
        let Some(queue) = self.queues.get_mut(index) else { return Ok(()) };
        let enabled = queue.enabled || acked & PROTOCOL_FEATURES == 0;
        let Some(shadow) = &mut queue.shadow else { return Ok(()) };
        shadow.accept(enabled);
        queue.ready = true;
        match &mut self.device {
            Some(link) if queue.told != Some(enabled) => {
                queue.told = Some(enabled);
                link.enable(u32::try_from(index).unwrap_or(u32::MAX), enabled)
            }
            _ => Ok(()),
        }
    }

    /// Takes no more from the guest on this queue.
    pub(super) fn close_queue(&mut self, index: usize) {
        if let Some(queue) = self.queues.get_mut(index) {
            if let Some(shadow) = &mut queue.shadow {
                shadow.accept(false);
            }
            if let Some(kick) = queue.kick.take() {
                self.poller.remove(kick);
            }
        }
    }

    /// Requests of a queue that the guest has not got back.
    pub(super) fn in_flight(&self, index: usize) -> usize {
        self.queues.get(index).and_then(|queue| queue.shadow.as_ref()).map_or(0, Shadow::in_flight)
    }

    /// Whether the requests of a queue are noted where they outlive this process.
    pub(super) fn has_journal(&self, index: usize) -> bool {
        self.queues.get(index).and_then(|queue| queue.shadow.as_ref()).is_some_and(Shadow::has_journal)
    }

    /// Ends a queue. Returns its vring base.
    pub(super) fn end_queue(&mut self, index: usize) -> u32 {
        self.close_queue(index);
        let Some(queue) = self.queues.get_mut(index) else { return 0 };
        let Some(mut shadow) = queue.shadow.take() else { return queue.base };
        self.poller.remove(&queue.device_call);
        queue.ready = false;
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        let stopped = self.device.as_mut().map(|link| link.stop_queue(number));
        let (call, left) = shadow.surrender();
        signal(queue.call.as_ref(), call);
        queue.base = shadow.vring_base();
        let base = queue.base;
        tracing::debug!("queue {index} ends at {base:#x}: {}", shadow.statistics);
        match stopped {
            Some(Err(error)) => self.lose_device(&error.to_string()),
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
