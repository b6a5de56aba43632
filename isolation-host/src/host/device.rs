//! The device: its coming and going.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use super::poller::Poller;
use super::{Host, HostError, Options, Source};
use crate::block_limits;
use crate::device_link::{DeviceLink, LinkError};
use crate::endpoint::Door;
use crate::negotiation::{self, NegotiationError};
use crate::protocol::Channel;

/// How often a device that is not there is looked for.
const RETRY: Duration = Duration::from_millis(20);

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
    #[error("it cannot be waited for: {0}")]
    Poll(io::Error),
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
        thread::sleep(RETRY);
    }
}

/// Hears a device from now on.
pub(super) fn listen(poller: &Poller, link: &DeviceLink) -> io::Result<()> {
    poller.add(link, Source::Device)?;
    link.requests().map_or(Ok(()), |requests| poller.add(requests, Source::DeviceRequest))
}

impl Host {
    /// The device has sent something unasked, or hung up.
    pub(super) fn hear_device(&mut self) {
        let Some(link) = &mut self.device else { return };
        match link.unasked() {
            Ok(None) => {}
            // A device that goes on like that would fill the log.
            Ok(Some(number)) => {
                self.lose_device(&format!("it sends message {number}, for which nobody asked"))
            }
            Err(error) => self.lose_device(&error.to_string()),
        }
    }

    /// The device is gone, or has to go. Its requests wait for the next one, where its type allows that.
    pub(super) fn lose_device(&mut self, why: &str) {
        if self.device.is_none() {
            return;
        }
        tracing::warn!("the device is lost: {why}");
        self.drop_device();
        if !self.options.device_type.survives_a_restart() {
            self.lose_vmm("its device is lost, with a state that no other has");
        }
    }

    /// Hangs up on the device, and looks for it again.
    pub(super) fn drop_device(&mut self) {
        // Nothing may be asked of it once the connection has begun to end: qemu-storage-daemon dies of that.
        for (index, queue) in self.queues.iter().enumerate() {
            queue.lane().detach();
            self.workers.wake(index);
        }
        if let Some(link) = self.device.take() {
            self.poller.remove(&link);
            link.requests().iter().for_each(|requests| self.poller.remove(requests));
        }
        self.retry = Some(Instant::now());
    }

    pub(super) fn retry_soon(&mut self) {
        self.retry = Some(Instant::now() + RETRY);
    }

    /// Looks for the device once, and gives it what is to be done.
    pub(super) fn seek_device(&mut self) -> Result<(), HostError> {
        self.retry = None;
        if self.device.is_some() {
            return Ok(());
        }
        let connection = self.device_door.connection();
        let connection = connection
            .map_err(|source| HostError::NoPeer { endpoint: self.options.device.clone(), source })?;
        let Some(channel) = connection else {
            self.retry_soon();
            return Ok(());
        };
        match self.adopt(channel) {
            Ok(()) => {
                tracing::info!("a device is connected");
                for index in 0..self.queues.len() {
                    self.attach_or_lose(index);
                }
            }
            Err(error) => {
                tracing::warn!("a device is connected that cannot be used: {error}");
                self.drop_device();
                self.retry_soon();
            }
        }
        Ok(())
    }

    /// Takes a device that has to do what the one before did.
    fn adopt(&mut self, channel: Channel) -> Result<(), AdoptError> {
        let mut link = DeviceLink::new(channel)?;
        let features = link.features | block_limits::emulated(self.options.device_type);
        match self.vmm.session().map(|session| session.features).filter(|features| *features != 0) {
            Some(wanted) => {
                negotiation::accept_successor(features, wanted)?;
                link.set_features(negotiation::ask(link.features, wanted, self.options.ring)?)?;
            }
            None => {
                negotiation::accept_successor(features, self.offer.features)?;
            }
        }
        listen(&self.poller, &link).map_err(AdoptError::Poll)?;
        self.device = Some(link);
        Ok(())
    }
}
