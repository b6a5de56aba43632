//! The connection to the device.

use std::time::Instant;

use super::event::Event;
use super::queue::Queue;
use super::seeker::AdoptError;
use super::vmm_session::Vmm;
use super::{Host, HostError, Offer};
use crate::device_link::{DeviceLink, Handshake};
use crate::device_type::AtStop;
use crate::error_chain::ErrorChain;
use crate::forward::Held;
use crate::negotiation::{self, NegotiationError};
use crate::protocol::features::LOG_ALL;

/// Why the device is disconnected.
#[derive(Clone, Copy, Debug)]
enum Disconnect {
    /// The device failed, perhaps because of a request that it had.
    Lost,
    /// The device has to forget a VMM.
    Replaced,
}

impl Host {
    /// Receives the reply to the handshake, an unexpected message, or the end of the connection.
    pub(super) fn receive_from_device(&mut self) {
        if self.handshake.is_some() {
            return self.poll_handshake();
        }
        let Some(link) = &mut self.device else { return };
        let stopping = link.is_stopping();
        if let Err(error) = link.receive() {
            return self.lose_device(&ErrorChain(&error).to_string());
        }
        let started = stopping && !link.is_stopping();
        if let Some(config) = link.take_late_config() {
            self.take_late_config(config);
        }
        if started {
            self.attach_all();
        }
    }

    /// Disconnects a device that owes replies and sends none.
    pub(super) fn drop_silent_device(&mut self) {
        if let Some(error) = self.device.as_ref().and_then(|link| link.overdue(Instant::now())) {
            self.lose_device(&ErrorChain(&error).to_string());
        }
    }

    /// Disconnects the device and tries to reconnect.
    ///
    /// Requests in flight wait for the next device if the device type allows that; otherwise the
    /// VMM is disconnected, too.
    pub(super) fn lose_device(&mut self, why: &str) {
        if self.device.is_none() {
            return;
        }
        tracing::warn!("the device is lost: {why}");
        self.disconnect_device(Disconnect::Lost);
        self.seeker.reconnect.after_loss(Instant::now());
        if !self.options.device_type.survives_restart() {
            self.lose_vmm("its device is lost, and with the device a state that cannot be restored");
        }
    }

    fn disconnect_device(&mut self, how: Disconnect) {
        // The device must get no more messages once the connection begins to close:
        // qemu-storage-daemon crashes on them.
        let begun = self.device.as_ref().is_some_and(DeviceLink::has_begun);
        // No queue moves requests while those of the device are counted.
        let mut queues: Vec<_> = self.queues.iter().map(Queue::lock).collect();
        // Idle buffers are with every device that is lost, and do not crash one.
        let is_idle = |index| self.options.device_type.at_stop(index) != AtStop::Finish;
        let counted = queues.iter_mut().enumerate().filter(|(index, _)| !is_idle(*index));
        let held = counted.map(|(_, queue)| queue.held()).fold(Held::default(), Held::and);
        for (index, queue) in queues.iter_mut().enumerate() {
            match how {
                Disconnect::Lost if begun && !is_idle(index) => queue.lose_device(index, held),
                Disconnect::Lost | Disconnect::Replaced => queue.detach(),
            }
            self.workers.wake(index);
        }
        drop(queues);
        if let Some(link) = self.device.take() {
            (self.lost, self.budget) = (Instant::now(), link.budget());
            self.poller.remove(&link);
            if let Some(backend) = link.backend_channel() {
                self.poller.remove(backend);
            }
        }
    }

    /// Replaces the connection to the device, if there is one.
    pub(super) fn reconnect_device(&mut self) {
        if self.device.is_some() {
            self.disconnect_device(Disconnect::Replaced);
            self.seeker.reconnect.now();
        }
    }

    /// Connects to the device if there is none, and begins the handshake.
    pub(super) fn connect_device(&mut self) -> Result<(), HostError> {
        if self.device.is_some() || self.handshake.is_some() {
            self.seeker.reconnect.cancel();
            return Ok(());
        }
        let Some(channel) = self.seeker.connect()? else { return Ok(()) };
        let handshake = Handshake::new(channel).map_err(AdoptError::from).and_then(|handshake| {
            self.poller.add(&handshake, Event::Device).map_err(AdoptError::Poll)?;
            Ok(handshake)
        });
        match handshake {
            Ok(handshake) => self.handshake = Some(handshake),
            Err(error) => self.seeker.reject(&error),
        }
        Ok(())
    }

    /// Completes the handshake if the device has replied.
    ///
    /// Rejects the device if the deadline has passed.
    pub(super) fn poll_handshake(&mut self) {
        let Some(mut handshake) = self.handshake.take() else { return };
        let adopted = match handshake.poll() {
            Ok(false) => {
                self.handshake = Some(handshake);
                return;
            }
            Ok(true) => self.adopt_device(handshake),
            Err(error) => Err(error.into()),
        };
        match adopted {
            Ok(()) => {
                tracing::info!("a device is connected");
                self.attach_all();
            }
            Err(error) => self.seeker.reject(&error),
        }
    }

    /// Returns the features to request from a device. `wanted` has the features that the VMM wants.
    pub(super) fn features_to_request(&self, offered: u64, wanted: u64) -> Result<u64, NegotiationError> {
        let features = negotiation::ask(offered, wanted, self.options.ring)?;
        Ok(if self.options.device_type.prepares_for_migration() { features } else { features & !LOG_ALL })
    }

    /// Takes a device that supports everything that the VMM was offered.
    fn adopt_device(&mut self, handshake: Handshake) -> Result<(), AdoptError> {
        let mut link = handshake.complete(self.budget)?;
        let (offer, before, wanted) = (Offer::of(&link, &self.options), self.offer, self.vmm.features());
        if !matches!(self.vmm, Vmm::Absent) {
            let used = if wanted == 0 { before.features } else { wanted };
            negotiation::accept_successor(offer.features, used)?;
            negotiation::accept_protocol(offer.protocol, before.protocol)?;
        }
        negotiation::accept_queues(offer.queues, before.queues)?;
        let features = self.features_to_request(link.features, wanted)?;
        if wanted != 0 {
            link.set_features(features)?;
        }
        if let Some(backend) = link.backend_channel() {
            self.poller.add(backend, Event::BackendChannel).map_err(AdoptError::Poll)?;
        }
        if matches!(self.vmm, Vmm::Absent) {
            // The number of queues stays that of the first device, because the queues exist
            // already.
            self.offer = Offer { queues: before.queues, ..offer };
        }
        self.device = Some(link);
        Ok(())
    }
}
