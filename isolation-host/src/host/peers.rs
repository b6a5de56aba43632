//! The connections to the VMM and to the device.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::ready::Ready;
use crate::control::{Event, HostError};
use crate::endpoint::{Connector, Endpoint};
use crate::error_chain::ErrorChain;
use crate::poller::Poller;
use crate::protocol::{Channel, Message, ReceiveError, SendError};

/// The interval at which a missing VMM is tried.
const RETRY_INTERVAL: Duration = Duration::from_millis(20);

/// The largest number of requests of the device that are received at once.
const BATCH: usize = 16;

/// The sockets of the control thread.
#[derive(Debug)]
pub(super) struct Peers {
    poller: Poller<Ready>,
    vmm_endpoint: Endpoint,
    vmm_connector: Connector,
    vmm: Option<Channel>,
    /// The channel for requests to the VMM.
    vmm_backend: Option<Channel>,
    /// Whether messages of the VMM are received.
    receiving: bool,
    /// Whether the listening socket is watched.
    listening: bool,
    /// When a missing VMM is tried again.
    retry: Option<Instant>,
    device_endpoint: Endpoint,
    device_connector: Connector,
    device: Option<Channel>,
    device_backend: Option<Channel>,
    /// Whether the reason why the device cannot be reached was logged. It is logged once.
    unreachable: bool,
    /// Whether it was logged that there is no device. It is logged once.
    missing: bool,
}

impl Peers {
    pub(super) fn new(
        poller: Poller<Ready>,
        (vmm_endpoint, vmm_connector): (Endpoint, Connector),
        (device_endpoint, device_connector): (Endpoint, Connector),
    ) -> io::Result<Self> {
        if let Some(listener) = vmm_connector.listener() {
            poller.add(listener, Ready::Listener)?;
        }
        Ok(Self {
            poller,
            vmm_endpoint,
            vmm_connector,
            vmm: None,
            vmm_backend: None,
            receiving: true,
            listening: true,
            retry: None,
            device_endpoint,
            device_connector,
            device: None,
            device_backend: None,
            unreachable: false,
            missing: false,
        })
    }

    /// Waits for events.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Ready>> {
        Ok(self.poller.wait(timeout)?.collect())
    }

    /// Returns when to look for a VMM again.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.retry
    }

    /// Returns whether no further VMM can connect.
    pub(super) const fn vmm_is_exhausted(&self) -> bool {
        self.vmm_connector.is_exhausted()
    }

    /// Connects to a VMM or listens for a VMM, if a VMM is accepted. Returns whether a VMM has
    /// connected.
    pub(super) fn connect_vmm(
        &mut self,
        accepted: bool,
        has_device: bool,
        now: Instant,
    ) -> Result<bool, HostError> {
        if let Some(listener) = self.vmm_connector.listener() {
            if accepted && !self.listening {
                self.poller.resume(listener, Ready::Listener);
                self.listening = true;
            }
            return Ok(false);
        }
        if !accepted || !has_device || self.retry.is_some_and(|at| now < at) {
            return Ok(false);
        }
        self.retry = None;
        match self.vmm_connector.connect() {
            Ok(Some(channel)) => Ok(self.take_vmm(channel)),
            Ok(None) => {
                self.retry = Some(now + RETRY_INTERVAL);
                Ok(false)
            }
            Err(source) => Err(HostError::NoPeer { endpoint: self.vmm_endpoint.clone(), source }),
        }
    }

    /// Accepts a VMM that wants to connect, or stops listening until a VMM is `accepted`. Returns
    /// whether a VMM has connected.
    pub(super) fn accept_vmm(&mut self, accepted: bool) -> bool {
        if !accepted {
            if self.vmm.is_some() {
                tracing::info!("another VMM is waiting until the connected one has left");
            }
            if let Some(listener) = self.vmm_connector.listener() {
                self.poller.pause(listener, Ready::Listener);
                self.listening = false;
            }
            return false;
        }
        match self.vmm_connector.connect() {
            Ok(Some(channel)) => self.take_vmm(channel),
            Ok(None) => false,
            Err(error) => {
                tracing::warn!("cannot accept a VMM: {error}");
                false
            }
        }
    }

    fn take_vmm(&mut self, channel: Channel) -> bool {
        if let Err(error) = self.poller.add(&channel, Ready::Vmm) {
            tracing::warn!("cannot accept a VMM: {error}");
            return false;
        }
        (self.vmm, self.receiving) = (Some(channel), true);
        true
    }

    /// Sets whether messages of the VMM are received. The end of the connection is always received.
    pub(super) fn receive_from_vmm(&mut self, receiving: bool) {
        let Some(channel) = self.vmm.as_ref().filter(|_| self.receiving != receiving) else { return };
        if receiving {
            self.poller.resume(channel, Ready::Vmm);
        } else {
            self.poller.pause(channel, Ready::Vmm);
        }
        self.receiving = receiving;
    }

    /// Receives one message of the VMM, so that a VMM that sends without end does not hold up other
    /// events. While a message of the VMM `waits`, receives only the end of the connection.
    pub(super) fn next_of_vmm(&mut self, waits: bool) -> Option<Event> {
        let channel = self.vmm.as_mut()?;
        if waits {
            // The waiting message may be newer than the event.
            let ended = !self.receiving;
            return ended.then(|| Event::VmmDisconnected(ReceiveError::Closed.to_string()));
        }
        match channel.receive() {
            Ok(message) => message.map(Event::FromVmm),
            Err(error) => Some(Event::VmmDisconnected(ErrorChain(&error).to_string())),
        }
    }

    /// Sends a message to the VMM. Returns what has happened.
    pub(super) fn send_to_vmm(&self, message: &Message) -> Option<Event> {
        let channel = self.vmm.as_ref()?;
        // A message that arrives from now on waits for none of the earlier replies of the device.
        let quiet = !channel.is_readable();
        match channel.send(message) {
            Ok(()) => quiet.then_some(Event::VmmQuiet),
            Err(error) => Some(Event::VmmDisconnected(ErrorChain(&error).to_string())),
        }
    }

    /// Uses a socket for requests to the VMM.
    pub(super) fn use_vmm_backend(&mut self, socket: OwnedFd) {
        self.vmm_backend = Some(Channel::new(socket));
    }

    /// Sends a request to the VMM. Drops a channel that has failed.
    pub(super) fn send_to_vmm_backend(&mut self, message: &Message) {
        let sent = self.vmm_backend.as_ref().map(|channel| channel.send(message));
        if let Some(Err(error)) = sent {
            let error = ErrorChain(&error);
            tracing::warn!("cannot report a change of the configuration to the VMM: {error}");
            self.vmm_backend = None;
        }
    }

    /// Closes the connection to the VMM.
    pub(super) fn disconnect_vmm(&mut self) {
        if let Some(channel) = self.vmm.take() {
            self.poller.remove(&channel);
        }
        self.vmm_backend = None;
    }

    /// Connects to a device. Returns what has happened.
    ///
    /// # Errors
    ///
    /// [`HostError::NoPeer`] if there will never be a connection.
    pub(super) fn connect_device(&mut self) -> Result<Event, HostError> {
        match self.device_connector.connect() {
            Ok(Some(channel)) => {
                self.unreachable = false;
                match self.poller.add(&channel, Ready::Device) {
                    Ok(()) => {
                        self.device = Some(channel);
                        return Ok(Event::DeviceConnected);
                    }
                    Err(error) => tracing::warn!("cannot wait for the device: {error}"),
                }
            }
            Ok(None) => {
                if !std::mem::replace(&mut self.missing, true) {
                    tracing::info!("waiting for a device at {}", self.device_endpoint);
                }
            }
            Err(source) if self.device_connector.is_exhausted() => {
                return Err(HostError::NoPeer { endpoint: self.device_endpoint.clone(), source });
            }
            // The socket may exist before its permissions allow a connection.
            Err(error) => {
                if !std::mem::replace(&mut self.unreachable, true) {
                    tracing::warn!("cannot connect to the device at {}: {error}", self.device_endpoint);
                }
            }
        }
        Ok(Event::DeviceMissing)
    }

    /// Receives the next message of the device, or the end of the connection.
    pub(super) fn next_of_device(&mut self) -> Option<Event> {
        match self.device.as_mut()?.receive() {
            Ok(message) => message.map(Event::FromDevice),
            Err(error) => Some(Event::DeviceClosed(error)),
        }
    }

    /// Sends a message to the device. Returns what has happened.
    pub(super) fn send_to_device(&mut self, message: &Message) -> Option<Event> {
        match self.device.as_ref()?.send(message) {
            Ok(()) => None,
            // A part of the message may be sent, so the connection cannot be used any more.
            Err(error @ SendError::Full) => Some(Event::DeviceFailed(error)),
            // The messages that the device has sent before its end say which queues it has begun to
            // serve.
            Err(error) => Some(self.next_of_device().unwrap_or(Event::DeviceFailed(error))),
        }
    }

    /// Receives from a socket, the back-end channel of the device.
    pub(super) fn use_device_backend(&mut self, socket: OwnedFd) {
        match self.poller.add(&socket, Ready::BackendChannel) {
            Ok(()) => self.device_backend = Some(Channel::new(socket)),
            Err(error) => tracing::warn!("cannot wait for the device's requests: {error}"),
        }
    }

    /// Receives a batch of the device's requests. Drops a channel that has failed.
    pub(super) fn requests_of_device(&mut self) -> Vec<Message> {
        let mut requests = Vec::new();
        while let Some(channel) = self.device_backend.as_mut().filter(|_| requests.len() < BATCH) {
            match channel.receive() {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => self.drop_device_backend(&error.to_string()),
            }
        }
        requests
    }

    /// Replies to a request of the device. A device that does not read its replies loses the
    /// channel.
    pub(super) fn send_to_device_backend(&mut self, message: &Message) {
        let sent = self.device_backend.as_ref().map(|channel| channel.send(message));
        if let Some(Err(error)) = sent {
            self.drop_device_backend(&error.to_string());
        }
    }

    fn drop_device_backend(&mut self, why: &str) {
        tracing::debug!("the device's back-end channel has failed: {why}");
        if let Some(channel) = self.device_backend.take() {
            self.poller.remove(&channel);
        }
    }

    /// Closes the connection to the device.
    pub(super) fn disconnect_device(&mut self) {
        for channel in self.device.take().into_iter().chain(self.device_backend.take()) {
            self.poller.remove(&channel);
        }
    }
}
