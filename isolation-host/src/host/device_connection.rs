//! The connection to the device.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::ready::Ready;
use crate::control::{Event, HostError};
use crate::endpoint::{Connector, Endpoint};
use crate::poller::Poller;
use crate::protocol::{Channel, Message};

/// The largest number of requests of the device that are received at once.
const BATCH: usize = 16;

/// The sockets between the control thread and the device.
#[derive(Debug)]
pub(super) struct DeviceConnection {
    poller: Rc<Poller<Ready>>,
    endpoint: Endpoint,
    connector: Connector,
    channel: Option<Channel>,
    /// The channel for requests of the device.
    backend: Option<Channel>,
    /// Whether the reason why the device cannot be reached was logged. It is logged once.
    unreachable: bool,
    /// Whether it was logged that there is no device. It is logged once.
    missing: bool,
}

impl DeviceConnection {
    pub(super) const fn new(poller: Rc<Poller<Ready>>, endpoint: Endpoint, connector: Connector) -> Self {
        Self { poller, endpoint, connector, channel: None, backend: None, unreachable: false, missing: false }
    }

    /// Connects to a device. Returns what has happened.
    ///
    /// # Errors
    ///
    /// [`HostError::NoPeer`] if there will never be a connection.
    pub(super) fn connect(&mut self) -> Result<Event, HostError> {
        match self.connector.connect() {
            Ok(Some(channel)) => {
                self.unreachable = false;
                match self.poller.add(&channel, Ready::Device) {
                    Ok(()) => {
                        self.channel = Some(channel);
                        return Ok(Event::DeviceConnected);
                    }
                    Err(error) => tracing::warn!("cannot wait for the device: {error}"),
                }
            }
            Ok(None) => {
                if !std::mem::replace(&mut self.missing, true) {
                    tracing::info!("waiting for a device at {}", self.endpoint);
                }
            }
            Err(source) if self.connector.is_exhausted() => {
                return Err(HostError::NoPeer { endpoint: self.endpoint.clone(), source });
            }
            // The socket may exist before its permissions allow a connection.
            Err(error) => {
                if !std::mem::replace(&mut self.unreachable, true) {
                    tracing::warn!("cannot connect to the device at {}: {error}", self.endpoint);
                }
            }
        }
        Ok(Event::DeviceMissing)
    }

    /// Receives the next message of the device, or the end of the connection.
    pub(super) fn next(&mut self) -> Option<Event> {
        match self.channel.as_mut()?.receive() {
            Ok(message) => message.map(Event::FromDevice),
            Err(error) => Some(Event::DeviceClosed(error)),
        }
    }

    /// Sends a message to the device. Returns what has happened.
    pub(super) fn send(&mut self, message: &Message) -> Option<Event> {
        match self.channel.as_ref()?.send(message) {
            Ok(()) => None,
            // The messages that the device has sent before its end say which queues it has begun to
            // serve. They are received first, and then the end.
            Err(error) if error.is_end() => Some(self.next().unwrap_or(Event::DeviceFailed(error))),
            // The message is lost, or a part of it, so the connection cannot be used any more.
            Err(error) => Some(Event::DeviceFailed(error)),
        }
    }

    /// Uses a socket for requests of the device (the back-end channel).
    pub(super) fn use_backend(&mut self, socket: OwnedFd) {
        match self.poller.add(&socket, Ready::BackendChannel) {
            Ok(()) => self.backend = Some(Channel::new(socket)),
            Err(error) => tracing::warn!("cannot wait for the device's requests: {error}"),
        }
    }

    /// Receives a batch of the device's requests. Drops a channel that has failed.
    pub(super) fn requests(&mut self) -> Vec<Message> {
        let mut requests = Vec::new();
        while let Some(channel) = self.backend.as_mut().filter(|_| requests.len() < BATCH) {
            match channel.receive() {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => self.drop_backend(&error.to_string()),
            }
        }
        requests
    }

    /// Replies to a request of the device. A device that does not read its replies loses the
    /// channel.
    pub(super) fn send_to_backend(&mut self, message: &Message) {
        let sent = self.backend.as_ref().map(|channel| channel.send(message));
        if let Some(Err(error)) = sent {
            self.drop_backend(&error.to_string());
        }
    }

    fn drop_backend(&mut self, why: &str) {
        tracing::debug!("the device's back-end channel has failed: {why}");
        if let Some(channel) = self.backend.take() {
            self.poller.remove(&channel);
        }
    }

    /// Closes the connection to the device.
    pub(super) fn disconnect(&mut self) {
        for channel in self.channel.take().into_iter().chain(self.backend.take()) {
            self.poller.remove(&channel);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair, sockopt};

    use super::*;
    use crate::protocol::{Request, SendError};

    fn connected(socket: OwnedFd) -> DeviceConnection {
        let poller = Rc::new(Poller::new().unwrap());
        let mut device = DeviceConnection::new(poller, Endpoint::Activated, Connector::Once(Some(socket)));
        assert!(matches!(device.connect(), Ok(Event::DeviceConnected)));
        device
    }

    /// The kernel refuses the message although the device is connected, as it does when a process
    /// has sent too many file descriptors that were not received.
    #[test]
    fn a_device_that_misses_a_message_is_lost_although_it_has_sent_one() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (own, device) = socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap();
        sockopt::set_socket_send_buffer_size(&own, 1).unwrap();
        let (mut own, device) = (connected(own), Channel::new(device));
        device.send(&Message::request(Request::GetFeatures, &[0u8; 0])).unwrap();
        let too_long = Message::request(Request::SetConfig, &[0u8; 8192]);
        let event = own.send(&too_long);
        assert!(matches!(event, Some(Event::DeviceFailed(SendError::Socket(_)))), "{event:?}");
    }

    #[test]
    fn what_a_device_has_sent_before_its_end_is_received_first() {
        let (own, device) = UnixStream::pair().unwrap();
        let (mut own, device) = (connected(own.into()), Channel::new(device.into()));
        device.send(&Message::request(Request::GetFeatures, &[0u8; 0])).unwrap();
        drop(device);
        let message = Message::request(Request::SetConfig, &[0u8; 8]);
        assert!(matches!(own.send(&message), Some(Event::FromDevice(_))));
        assert!(matches!(own.send(&message), Some(Event::DeviceClosed(_))));
    }
}
