//! The connection to the VMM.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use super::ready::Ready;
use crate::control::{Event, HostError};
use crate::endpoint::{Connector, Endpoint};
use crate::error_chain::ErrorChain;
use crate::poller::Poller;
use crate::protocol::{Channel, Message, ReceiveError};
use crate::retry::Retry;

/// The sockets between the control thread and the VMM.
#[derive(Debug)]
pub(super) struct VmmConnection {
    poller: Rc<Poller<Ready>>,
    endpoint: Endpoint,
    connector: Connector,
    channel: Option<Channel>,
    /// The channel for requests to the VMM.
    backend: Option<Channel>,
    /// Whether messages of the VMM are received.
    receiving: bool,
    /// Whether the listening socket is watched.
    listening: bool,
    /// When a VMM is tried again that is missing, or that could not be accepted.
    retry: Retry,
}

impl VmmConnection {
    pub(super) fn new(
        poller: Rc<Poller<Ready>>,
        endpoint: Endpoint,
        connector: Connector,
    ) -> io::Result<Self> {
        if let Some(listener) = connector.listener() {
            poller.add(listener, Ready::Listener)?;
        }
        Ok(Self {
            poller,
            endpoint,
            connector,
            channel: None,
            backend: None,
            receiving: true,
            listening: true,
            retry: Retry::default(),
        })
    }

    /// Returns when to look for a VMM again.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.retry.deadline()
    }

    /// Returns whether no further VMM can connect.
    pub(super) const fn is_exhausted(&self) -> bool {
        self.connector.is_exhausted()
    }

    /// Connects to a VMM or listens for a VMM, if a VMM is accepted. Returns whether a VMM has
    /// connected.
    pub(super) fn connect(
        &mut self,
        accepted: bool,
        has_device: bool,
        now: Instant,
    ) -> Result<bool, HostError> {
        // A deadline that has passed would keep the control thread from sleeping.
        self.retry.take_due(now);
        if self.retry.deadline().is_some() {
            return Ok(false);
        }
        if let Some(listener) = self.connector.listener() {
            if accepted && !self.listening {
                self.poller.resume(listener, Ready::Listener);
                self.listening = true;
            }
            return Ok(false);
        }
        if !accepted || !has_device {
            return Ok(false);
        }
        match self.connector.connect() {
            Ok(Some(channel)) => return Ok(self.take(channel)),
            Ok(None) => {}
            Err(source) if self.connector.is_exhausted() => {
                return Err(HostError::NoPeer { endpoint: self.endpoint.clone(), source });
            }
            Err(error) => self.log_unreachable(&error),
        }
        self.retry.later(now);
        Ok(false)
    }

    /// Accepts a VMM that wants to connect, or stops listening until a VMM is `accepted`. Returns
    /// whether a VMM has connected.
    pub(super) fn accept(&mut self, accepted: bool, now: Instant) -> bool {
        if !accepted {
            if self.channel.is_some() {
                tracing::info!("another VMM is waiting until the connected one has left");
            }
            self.stop_listening();
            return false;
        }
        match self.connector.connect() {
            Ok(Some(channel)) => self.take(channel),
            Ok(None) => false,
            // The VMM that waits would be reported again immediately, as long as the process has
            // too many open files.
            Err(error) => {
                self.log_unreachable(&error);
                self.stop_listening();
                self.retry.later(now);
                false
            }
        }
    }

    fn stop_listening(&mut self) {
        if let Some(listener) = self.connector.listener() {
            self.poller.pause(listener, Ready::Listener);
            self.listening = false;
        }
    }

    fn log_unreachable(&mut self, error: &io::Error) {
        self.retry.log(format_args!("connect to a VMM at {}", self.endpoint), error);
    }

    fn take(&mut self, channel: Channel) -> bool {
        if let Err(error) = self.poller.add(&channel, Ready::Vmm) {
            tracing::warn!("cannot accept a VMM: {error}");
            return false;
        }
        (self.channel, self.receiving) = (Some(channel), true);
        self.retry.succeeded();
        true
    }

    /// Sets whether messages of the VMM are received. The end of the connection is always received.
    pub(super) fn receive_if(&mut self, receiving: bool) {
        let Some(channel) = self.channel.as_ref().filter(|_| self.receiving != receiving) else { return };
        if receiving {
            self.poller.resume(channel, Ready::Vmm);
        } else {
            self.poller.pause(channel, Ready::Vmm);
        }
        self.receiving = receiving;
    }

    /// Receives one message of the VMM, so that a VMM that sends without end does not hold up other
    /// events. While a message of the VMM `waits`, receives only the end of the connection.
    pub(super) fn next(&mut self, waits: bool) -> Option<Event> {
        let channel = self.channel.as_mut()?;
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
    pub(super) fn send(&self, message: &Message) -> Option<Event> {
        let channel = self.channel.as_ref()?;
        // A message that arrives from now on waits for none of the earlier replies of the device.
        let quiet = !channel.is_readable();
        match channel.send(message) {
            Ok(()) => quiet.then_some(Event::VmmQuiet),
            Err(error) => Some(Event::VmmDisconnected(ErrorChain(&error).to_string())),
        }
    }

    /// Uses a socket for requests to the VMM.
    pub(super) fn use_backend(&mut self, socket: OwnedFd) {
        self.backend = Some(Channel::new(socket));
    }

    /// Sends a request to the VMM. Drops a channel that has failed.
    pub(super) fn send_to_backend(&mut self, message: &Message) {
        let sent = self.backend.as_ref().map(|channel| channel.send(message));
        if let Some(Err(error)) = sent {
            let error = ErrorChain(&error);
            tracing::warn!("cannot report a change of the configuration to the VMM: {error}");
            self.backend = None;
        }
    }

    /// Closes the connection to the VMM.
    pub(super) fn disconnect(&mut self) {
        if let Some(channel) = self.channel.take() {
            self.poller.remove(&channel);
        }
        self.backend = None;
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

    use super::*;
    use crate::retry::RETRY_INTERVAL;

    fn vmm(connector: Connector) -> VmmConnection {
        VmmConnection::new(Rc::new(Poller::new().unwrap()), Endpoint::Activated, connector).unwrap()
    }

    #[test]
    fn a_listener_that_fails_is_tried_again_after_the_interval() {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let fails = UnixListener::from(socket.unwrap());
        let (mut vmm, now) = (vmm(Connector::Listener(fails)), Instant::now());
        assert!(!vmm.accept(true, now));
        assert_eq!(vmm.deadline(), Some(now + RETRY_INTERVAL));
        assert!(!vmm.listening);
        assert!(matches!(vmm.connect(true, true, now), Ok(false)));
        assert!(!vmm.listening);
        assert!(matches!(vmm.connect(true, true, now + RETRY_INTERVAL), Ok(false)));
        assert!(vmm.listening && vmm.deadline().is_none());
    }

    #[test]
    fn a_vmm_that_cannot_be_reached_yet_is_tried_again_after_the_interval() {
        // The path of a socket has at most 107 bytes. A missing permission is handled alike.
        let too_long = "x".repeat(200).into();
        let (mut vmm, now) = (vmm(Connector::Client(too_long)), Instant::now());
        assert!(matches!(vmm.connect(true, true, now), Ok(false)));
        assert_eq!(vmm.deadline(), Some(now + RETRY_INTERVAL));
    }

    #[test]
    fn no_deadline_remains_when_the_device_is_lost_before_a_vmm_was_found() {
        let missing = "/does/not/exist".into();
        let (mut vmm, now) = (vmm(Connector::Client(missing)), Instant::now());
        assert!(matches!(vmm.connect(true, true, now), Ok(false)));
        assert_eq!(vmm.deadline(), Some(now + RETRY_INTERVAL));
        let later = now + RETRY_INTERVAL;
        assert!(matches!(vmm.connect(true, false, later), Ok(false)));
        assert_eq!(vmm.deadline(), None);
        assert!(matches!(vmm.connect(true, true, later), Ok(false)));
        assert_eq!(vmm.deadline(), Some(later + RETRY_INTERVAL));
        assert!(matches!(vmm.connect(false, false, later + RETRY_INTERVAL), Ok(false)));
        assert_eq!(vmm.deadline(), None);
    }

    #[test]
    fn a_connection_that_can_be_used_once_is_not_tried_again() {
        let mut vmm = vmm(Connector::Once(None));
        let outcome = vmm.connect(true, true, Instant::now());
        assert!(matches!(outcome, Err(HostError::NoPeer { .. })));
    }
}
