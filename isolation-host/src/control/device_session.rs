//! The connection to the device.

use std::time::Instant;

use thiserror::Error;

use super::Control;
use super::device::Device;
use super::event::Action;
use super::options::{HostError, Offer};
use super::queue::Queue;
use super::vmm_session::Vmm;
use crate::area::Area;
use crate::device_link::{BackendChannel, DeviceLink, Handshake, LinkError, LinkEvent};
use crate::device_type::AtStop;
use crate::error_chain::ErrorChain;
use crate::forward::Held;
use crate::negotiation::{self, NegotiationError};
use crate::protocol::features::LOG_ALL;
use crate::protocol::{Message, ReceiveError, SendError};
use ring_core::Features;

/// The usual size of a queue. The process does not start if the isolated area has no room for a
/// queue of this size.
const USUAL_SIZE: u16 = 256;

/// The reason why the device is disconnected.
#[derive(Clone, Copy, Debug)]
enum Disconnect {
    /// The device failed, perhaps because of a request that it had.
    Lost,
    /// The device has to forget a VMM.
    Replaced,
}

/// A device that cannot be used.
#[derive(Debug, Error)]
enum AdoptError {
    /// The device does not complete the handshake.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The device offers too little.
    #[error(transparent)]
    Features(#[from] NegotiationError),
    /// The process cannot serve the first device, and therefore ends.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Control {
    /// Returns whether a device is used.
    pub(crate) const fn has_device(&self) -> bool {
        self.device.link().is_some()
    }

    /// Lets the shell connect to a device, if an attempt is due.
    pub(super) fn connect_device(&mut self, now: Instant) {
        if self.reconnect.deadline().is_none_or(|at| now < at) {
            return;
        }
        self.reconnect.cancel();
        if matches!(self.device, Device::Absent) {
            self.device = Device::Connecting;
            self.actions.push(Action::ConnectDevice);
        }
    }

    /// Tries again later, because there is no device.
    pub(super) fn miss_device(&mut self, now: Instant) {
        if matches!(self.device, Device::Connecting) {
            self.device = Device::Absent;
            self.reconnect.soon(now);
        }
    }

    /// Begins the handshake with a device that is connected.
    pub(super) fn begin_handshake(&mut self) {
        if matches!(self.device, Device::Connecting) {
            self.device = Device::Meeting(Handshake::default());
        }
    }

    /// Lets the shell send all messages that may be sent to the device now.
    pub(super) fn send_to_device(&mut self, now: Instant) {
        while let Some(message) = self.device.next_message(now) {
            self.actions.push(Action::ToDevice(message));
        }
    }

    /// Handles a message of the device.
    pub(super) fn receive_from_device(&mut self, message: Message, now: Instant) -> Result<(), HostError> {
        match &mut self.device {
            Device::Absent | Device::Connecting => {}
            Device::Meeting(handshake) => match handshake.receive(message, now) {
                Ok(true) => self.meet(now)?,
                Ok(false) => {}
                Err(error) => self.reject(&error.into(), now),
            },
            Device::Present(link) => {
                let stopping = link.is_stopping();
                let received = link.receive(message, now);
                let started = stopping && !link.is_stopping();
                match received {
                    Ok(Some(LinkEvent::Relayed(relayed))) => self.take_relayed(relayed, now),
                    Ok(Some(LinkEvent::Enabled(index))) => self.notify_device(index),
                    Ok(None) => {}
                    Err(error) => self.lose_device(&ErrorChain(&error).to_string(), now),
                }
                if started {
                    self.attach_all(now);
                }
            }
        }
        Ok(())
    }

    /// Handles a message of the device on its back-end channel.
    pub(super) fn receive_from_backend(&mut self, message: &Message) {
        if self.has_device() {
            let reply = self.backend.receive(message);
            self.actions.extend(reply.map(Action::ToBackend));
        }
    }

    /// Disconnects a device that sends no more messages.
    pub(super) fn end_device(&mut self, source: ReceiveError, now: Instant) {
        let error = self.device.closed(source);
        self.drop_device(error, now);
    }

    /// Disconnects a device that takes no more messages.
    pub(super) fn fail_device(&mut self, source: SendError, now: Instant) {
        self.drop_device(source.into(), now);
    }

    /// Disconnects a device that owes replies and sends none.
    pub(super) fn drop_silent_device(&mut self, now: Instant) {
        if let Some(error) = self.device.overdue(now) {
            self.drop_device(error, now);
        }
    }

    fn drop_device(&mut self, error: LinkError, now: Instant) {
        match self.device {
            Device::Absent | Device::Connecting => {}
            Device::Meeting(_) => self.reject(&error.into(), now),
            Device::Present(_) => self.lose_device(&ErrorChain(&error).to_string(), now),
        }
    }

    /// Disconnects the device and tries to reconnect.
    ///
    /// Requests in flight wait for the next device if the device type allows that; otherwise the
    /// VMM is disconnected, too.
    pub(super) fn lose_device(&mut self, why: &str, now: Instant) {
        if !self.has_device() {
            return;
        }
        tracing::warn!("the device is lost: {why}");
        self.totals.device_losses += 1;
        self.disconnect_device(Disconnect::Lost, now);
        self.reconnect.after_loss(now);
        if !self.options.device_type.survives_restart() {
            self.lose_vmm("its device is lost, and with the device a state that cannot be restored", now);
        }
    }

    fn disconnect_device(&mut self, how: Disconnect, now: Instant) {
        let begun = self.device.link().is_some_and(DeviceLink::has_begun);
        // No queue moves requests while the device's requests are counted.
        let mut queues: Vec<_> = self.queues.iter().map(Queue::lock).collect();
        // Every lost device had idle buffers, and idle buffers do not crash a device.
        let is_idle = |index| self.options.device_type.at_stop(index) != AtStop::Finish;
        let counted = queues.iter_mut().enumerate().filter(|(index, _)| !is_idle(*index));
        let held = counted.map(|(_, queue)| queue.held()).fold(Held::default(), Held::and);
        for (index, queue) in queues.iter_mut().enumerate() {
            match how {
                Disconnect::Lost if begun && !is_idle(index) => queue.lose_device(index, held),
                Disconnect::Lost | Disconnect::Replaced => queue.detach(),
            }
            self.actions.push(Action::Wake(index));
        }
        drop(queues);
        (self.lost, self.device) = (Some(now), Device::Absent);
        self.backend = BackendChannel::default();
        // The device must get no more messages once the connection begins to close: such messages
        // crash qemu-storage-daemon.
        self.actions.push(Action::DisconnectDevice);
    }

    /// Replaces the connection to the device, if there is one.
    pub(super) fn reconnect_device(&mut self, now: Instant) {
        if self.has_device() {
            self.disconnect_device(Disconnect::Replaced, now);
            self.reconnect.at(now);
        }
    }

    /// Uses a device that has replied to the whole handshake, or rejects it.
    fn meet(&mut self, now: Instant) -> Result<(), HostError> {
        let Device::Meeting(handshake) = std::mem::take(&mut self.device) else { return Ok(()) };
        match self.adopt(handshake) {
            Ok(link) => {
                tracing::info!("a device is connected");
                self.totals.device_connections += 1;
                self.device = Device::Present(Box::new(link));
                self.attach_all(now);
                Ok(())
            }
            Err(AdoptError::Host(error)) => Err(error),
            Err(error) => {
                self.reject(&error, now);
                Ok(())
            }
        }
    }

    /// Logs why a device is rejected, and decides when to connect again.
    fn reject(&mut self, error: &AdoptError, now: Instant) {
        tracing::warn!("rejecting a device: {}", ErrorChain(error));
        self.totals.device_rejections += 1;
        self.device = Device::Absent;
        self.actions.push(Action::DisconnectDevice);
        self.reconnect.after_loss(now);
    }

    /// Returns the features to request from a device. `wanted` has the features that the VMM wants.
    pub(super) fn features_to_request(&self, offered: u64, wanted: u64) -> Result<u64, NegotiationError> {
        let features = negotiation::ask(offered, wanted, self.options.ring)?;
        Ok(if self.options.device_type.prepares_for_migration() { features } else { features & !LOG_ALL })
    }

    /// Accepts a device that supports everything that the VMM was offered.
    fn adopt(&mut self, handshake: Handshake) -> Result<DeviceLink, AdoptError> {
        let mut link = handshake.complete()?;
        let (offer, wanted) = (Offer::of(&link, &self.options), self.vmm.features());
        let offer = match self.offer {
            None => {
                negotiation::ask(link.features, wanted, self.options.ring)?;
                self.take_first_offer(offer)?
            }
            Some(before) => self.compare(offer, before)?,
        };
        let features = self.features_to_request(link.features, wanted)?;
        if wanted != 0 {
            link.set_features(features)?;
        }
        self.offer = Some(offer);
        self.actions.extend(link.take_backend_channel().map(Action::DeviceBackend));
        Ok(link)
    }

    /// Makes the queues that the first device has.
    fn take_first_offer(&mut self, offer: Offer) -> Result<Offer, HostError> {
        let Offer { features, protocol, queues } = offer;
        tracing::info!(
            "the device offers features {features:#x}, protocol features {protocol:#x}, {queues} queues"
        );
        let share = Area::new(self.options.area_size, queues)?.share(0, USUAL_SIZE, Features::empty());
        share.map_err(|source| HostError::Share { queues, source })?;
        let made: Result<Vec<Queue>, _> = (0..queues).map(|_| Queue::new()).collect();
        self.queues = made.map_err(HostError::Poll)?;
        self.actions.push(Action::Assign(self.queues.iter().map(Queue::share).collect()));
        Ok(offer)
    }

    /// Compares the offer of a device with the offer of the device before it. Returns what the VMM
    /// is offered from now on.
    fn compare(&self, offer: Offer, before: Offer) -> Result<Offer, NegotiationError> {
        if matches!(self.vmm, Vmm::Absent) {
            negotiation::accept_queues(offer.queues, before.queues)?;
            // The number of queues of the first device is kept, because the queues exist already.
            return Ok(Offer { queues: before.queues, ..offer });
        }
        let wanted = self.vmm.features();
        let used = if wanted == 0 { before.features } else { wanted };
        negotiation::accept_successor(offer.features, used)?;
        negotiation::accept_protocol(offer.protocol, before.protocol)?;
        negotiation::accept_queues(offer.queues, before.queues)?;
        Ok(before)
    }
}
