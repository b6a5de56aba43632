//! The device: its coming and going.

use std::io;
use std::thread;
use std::time::Instant;

use thiserror::Error;

use super::vmm::Vmm;
use super::{Host, HostError, Offer, Options, Source, retry};
use crate::causes::WithCauses;
use crate::device_link::{DeviceLink, Greeting, LinkError};
use crate::endpoint::Door;
use crate::negotiation::{self, NegotiationError};
use crate::protocol::features::LOG_ALL;

/// A device cannot take the place of the one before.
#[derive(Debug, Error)]
enum AdoptError {
    /// It does not do what it is told.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It offers too little.
    #[error(transparent)]
    Features(#[from] NegotiationError),
    /// Its end cannot be waited for.
    #[error("it cannot be waited for")]
    Poll(#[source] io::Error),
}

/// The first device. There is nothing to do without one, so this waits for it.
pub(super) fn first(door: &mut Door, options: &Options) -> Result<DeviceLink, HostError> {
    let endpoint = &options.device;
    let mut told = false;
    loop {
        let connection = door.connection();
        if let Some(channel) =
            connection.map_err(|source| HostError::NoPeer { endpoint: endpoint.clone(), source })?
        {
            let link = DeviceLink::new(channel)?;
            negotiation::ask(link.features, 0, options.ring)?;
            return Ok(link);
        }
        if !told {
            tracing::info!("waiting for a device at {endpoint}");
            told = true;
        }
        thread::sleep(retry::PAUSE);
    }
}

impl Host {
    /// The device has sent something, or hung up.
    pub(super) fn hear_device(&mut self) {
        if self.greeting.is_some() {
            return self.hear_greeting();
        }
        let Some(link) = &mut self.device else { return };
        match link.unasked() {
            Ok(None) => {}
            // A device that goes on like that would fill the log.
            Ok(Some(number)) => {
                self.lose_device(&format!("it sends message {number}, for which nobody asked"))
            }
            Err(error) => self.lose_device(&WithCauses(&error).to_string()),
        }
    }

    /// The device is gone, or has to go. Its requests wait for the next one, where its type allows that.
    pub(super) fn lose_device(&mut self, why: &str) {
        if self.device.is_none() {
            return;
        }
        tracing::warn!("the device is lost: {why}");
        self.hang_up();
        self.retry.after_a_loss(Instant::now());
        if !self.options.device_type.survives_a_restart() {
            self.lose_vmm("its device is lost, with a state that no other has");
        }
    }

    /// Hangs up on the device.
    fn hang_up(&mut self) {
        // Nothing may be asked of it once the connection has begun to end: qemu-storage-daemon dies of that.
        for (index, queue) in self.queues.iter().enumerate() {
            queue.lane().detach();
            self.workers.wake(index);
        }
        if let Some(link) = self.device.take() {
            self.lost = Instant::now();
            self.poller.remove(&link);
            link.requests().iter().for_each(|requests| self.poller.remove(requests));
        }
    }

    /// Hangs up on the device, if it is there, for a reason that is not its fault, and looks for it again.
    pub(super) fn renew_device(&mut self) {
        if self.device.is_some() {
            self.hang_up();
            self.retry.now();
        }
    }

    /// Looks for the device once if there is none, and asks it what it offers.
    pub(super) fn seek_device(&mut self) -> Result<(), HostError> {
        self.retry.never();
        if self.device.is_some() || self.greeting.is_some() {
            return Ok(());
        }
        let channel = match self.device_door.connection() {
            Ok(Some(channel)) => channel,
            Ok(None) => {
                self.retry.soon();
                return Ok(());
            }
            Err(source) if self.device_door.is_used_up() => {
                return Err(HostError::NoPeer { endpoint: self.options.device.clone(), source });
            }
            // It may be that its socket is there, and that it is not allowed yet to connect to it.
            Err(error) => {
                if !std::mem::replace(&mut self.unreachable, true) {
                    tracing::warn!("{} does not lead to a device yet: {error}", self.options.device);
                }
                self.retry.soon();
                return Ok(());
            }
        };
        self.unreachable = false;
        let greeting = Greeting::new(channel).map_err(AdoptError::from).and_then(|greeting| {
            self.poller.add(&greeting, Source::Device).map_err(AdoptError::Poll)?;
            Ok(greeting)
        });
        match greeting {
            Ok(greeting) => self.greeting = Some(greeting),
            Err(error) => self.refuse_device(&error),
        }
        Ok(())
    }

    /// Goes on with a device that has answered what it offers, or has taken too long for that.
    pub(super) fn hear_greeting(&mut self) {
        let Some(mut greeting) = self.greeting.take() else { return };
        let adopted = match greeting.answer() {
            Ok(None) => {
                self.greeting = Some(greeting);
                return;
            }
            Ok(Some(features)) => self.adopt(greeting, features),
            Err(error) => Err(error.into()),
        };
        match adopted {
            Ok(()) => {
                tracing::info!("a device is connected");
                for index in 0..self.queues.len() {
                    self.attach_or_lose(index);
                }
            }
            Err(error) => self.refuse_device(&error),
        }
    }

    fn refuse_device(&mut self, error: &AdoptError) {
        tracing::warn!("a device is connected that cannot be used: {}", WithCauses(error));
        self.retry.after_a_loss(Instant::now());
    }

    /// What a device with these features is asked for, for a VMM that wants those.
    pub(super) fn asked(&self, features: u64, wanted: u64) -> Result<u64, NegotiationError> {
        let asked = negotiation::ask(features, wanted, self.options.ring)?;
        Ok(if self.options.device_type.prepares_for_migration() { asked } else { asked & !LOG_ALL })
    }

    /// Takes a device that has to do what the one before did, as far as a VMM knows of that.
    fn adopt(&mut self, greeting: Greeting, features: u64) -> Result<(), AdoptError> {
        let mut link = DeviceLink::meet(greeting, features)?;
        let (offer, before, wanted) = (Offer::of(&link, &self.options), self.offer, self.vmm.features());
        if !matches!(self.vmm, Vmm::Absent) {
            let used = if wanted == 0 { before.features } else { wanted };
            negotiation::accept_successor(offer.features, used)?;
            negotiation::accept_protocol(offer.protocol, before.protocol)?;
        }
        negotiation::accept_queues(offer.queues, before.queues)?;
        let asked = self.asked(link.features, wanted)?;
        if wanted != 0 {
            link.set_features(asked)?;
        }
        if let Some(requests) = link.requests() {
            self.poller.add(requests, Source::DeviceRequest).map_err(AdoptError::Poll)?;
        }
        if matches!(self.vmm, Vmm::Absent) {
            // The number of queues is the first device's as long as the process lives.
            self.offer = Offer { queues: before.queues, ..offer };
        }
        self.device = Some(link);
        Ok(())
    }
}
