//! The connection to the VMM.

use std::time::{Duration, Instant};

use super::event::Event;
use super::queue_stop::{QUIET_TIMEOUT, Stopping};
use super::{Host, HostError};
use crate::device_link::{DeviceLink, Handshake};
use crate::error_chain::ErrorChain;
use crate::journal::JournalMemory;
use crate::mmap::Window;
use crate::protocol::{BackendRequest, Channel, Message, ReceiveError};

/// The shortest interval between two messages that the configuration has changed.
///
/// A device may report changes without end.
const CONFIG_CHANGE_INTERVAL: Duration = Duration::from_millis(20);

/// How long a VMM has to wait for a device that was lost.
///
/// The VMM's first requests may need a device, and a device that only has to reconnect is back
/// soon.
const RECONNECT_GRACE: Duration = Duration::from_secs(1);

/// The state of the connection to the VMM.
#[derive(Debug)]
pub(super) enum Vmm {
    /// No VMM is connected.
    Absent,
    /// A VMM is connected.
    Present(Box<Session>),
    /// The VMM has gone, and its requests in flight are being finished.
    Leaving {
        /// When the requests are given up.
        deadline: Instant,
        /// The virtio features that the VMM had negotiated.
        features: u64,
    },
}

/// A connection to a VMM.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    /// The virtio features that the VMM has negotiated.
    pub(super) features: u64,
    /// The device status, which the VMM writes and reads.
    pub(super) status: u64,
    /// The dirty log, which is used only while the feature is negotiated.
    pub(super) log: Option<Window>,
    /// The in-flight region, if the VMM keeps one.
    pub(super) journals: Option<JournalMemory>,
    /// Reports changes of the configuration to the VMM, if the VMM has a channel for them.
    pub(super) config_notifier: Option<ConfigNotifier>,
    /// The queue that is being stopped. The VMM waits for the reply and sends nothing meanwhile.
    pub(super) stopping: Option<Stopping>,
}

/// Reports changes of the configuration to the VMM.
#[derive(Debug)]
pub(super) struct ConfigNotifier {
    pub(super) channel: Channel,
    /// The earliest time of the next message.
    pub(super) next: Instant,
    /// Whether there is a change to report.
    pub(super) due: bool,
}

impl Vmm {
    pub(super) const fn session(&self) -> Option<&Session> {
        match self {
            Self::Present(session) => Some(session),
            Self::Absent | Self::Leaving { .. } => None,
        }
    }

    pub(super) const fn session_mut(&mut self) -> Option<&mut Session> {
        match self {
            Self::Present(session) => Some(session),
            Self::Absent | Self::Leaving { .. } => None,
        }
    }

    /// Returns the virtio features that were negotiated; 0 if none were.
    pub(super) const fn features(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Present(session) => session.features,
            Self::Leaving { features, .. } => *features,
        }
    }

    /// Returns when the control thread has to act without an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Absent => None,
            Self::Present(session) => {
                let stopping = session.stopping.as_ref().map(Stopping::deadline);
                let notifier = session.config_notifier.as_ref().filter(|notifier| notifier.due);
                stopping.into_iter().chain(notifier.map(|notifier| notifier.next)).min()
            }
            Self::Leaving { deadline, .. } => Some(*deadline),
        }
    }
}

impl Host {
    /// Connects to the peers that are missing. Returns whether there is a VMM, or may be one.
    pub(super) fn connect_peers(&mut self) -> Result<bool, HostError> {
        let due = |at: Instant| at <= Instant::now();
        if let Vmm::Leaving { deadline, .. } = self.vmm {
            if due(deadline) || self.all_drained() || !self.may_finish() {
                self.forget_vmm();
            }
        }
        if self.handshake.as_ref().and_then(Handshake::deadline).is_some_and(due) {
            self.poll_handshake();
        }
        self.drop_silent_device();
        // Before the next VMM is accepted, in case the last one has just been forgotten.
        if self.seeker.reconnect.deadline().is_some_and(due) {
            self.connect_device()?;
        }
        self.resume_listening();
        if matches!(self.vmm, Vmm::Absent) && self.vmm_connector.is_exhausted() {
            return Ok(false);
        }
        if matches!(self.vmm, Vmm::Absent) && self.device.is_some() && self.vmm_connector.listener().is_none()
        {
            match self.vmm_connector.connect() {
                Ok(Some(channel)) => self.start_session(channel),
                Ok(None) => self.seeker.reconnect.soon(),
                Err(source) => {
                    return Err(HostError::NoPeer { endpoint: self.options.vmm.clone(), source });
                }
            }
        }
        Ok(true)
    }

    /// Accepts a VMM that wants to connect, or stops listening until that is possible.
    pub(super) fn accept_vmm(&mut self) {
        if !self.may_accept_vmm() {
            if self.vmm.session().is_some() {
                tracing::info!("another VMM is waiting until the connected one has left");
            }
            if let Some(listener) = self.vmm_connector.listener() {
                self.poller.pause(listener, Event::Listener);
            }
            return;
        }
        match self.vmm_connector.connect() {
            Ok(Some(channel)) => self.start_session(channel),
            Ok(None) => {}
            Err(error) => tracing::warn!("cannot accept a VMM: {error}"),
        }
    }

    /// Returns whether a VMM is accepted now.
    ///
    /// There is one at a time, and it waits for a device that is expected to reconnect soon.
    fn may_accept_vmm(&self) -> bool {
        matches!(self.vmm, Vmm::Absent) && self.grace_deadline().is_none()
    }

    /// Returns until when a VMM waits for the device to reconnect, if it does.
    pub(super) fn grace_deadline(&self) -> Option<Instant> {
        let end = self.lost + RECONNECT_GRACE;
        (self.device.is_none() && Instant::now() < end).then_some(end)
    }

    fn resume_listening(&self) {
        if let Some(listener) = self.vmm_connector.listener().filter(|_| self.may_accept_vmm()) {
            self.poller.resume(listener, Event::Listener);
        }
    }

    fn start_session(&mut self, channel: Channel) {
        if let Err(error) = self.poller.add(&channel, Event::Vmm) {
            tracing::warn!("cannot accept a VMM: {error}");
            return;
        }
        tracing::info!("a VMM has connected");
        let (log, journals, config_notifier, stopping) = (None, None, None, None);
        let session = Session { channel, features: 0, status: 0, log, journals, config_notifier, stopping };
        self.vmm = Vmm::Present(Box::new(session));
    }

    /// Receives a message of the VMM, or the end of its connection.
    pub(super) fn receive_from_vmm(&mut self) {
        let Some(session) = self.vmm.session_mut() else { return };
        if session.stopping.is_some() {
            // The channel is paused, so the event is the end of the connection.
            self.lose_vmm(&ReceiveError::Closed.to_string());
            return;
        }
        // One message for each event, so that a VMM that sends without end does not hold up other
        // events.
        match session.channel.receive() {
            Ok(Some(message)) => self.serve(message),
            Ok(None) => {}
            Err(error) => self.lose_vmm(&ErrorChain(&error).to_string()),
        }
    }

    /// Handles the loss of the VMM.
    ///
    /// Requests in flight are finished, because a VMM without an in-flight region cannot submit
    /// them again.
    pub(super) fn lose_vmm(&mut self, why: &str) {
        let Some(session) = self.vmm.session() else { return };
        tracing::info!("the VMM is gone: {why}");
        self.poller.remove(&session.channel);
        let mut timeout = Duration::ZERO;
        for index in 0..self.queues.len() {
            self.begin_drain(index);
            let own = self.drain_timeout(index);
            // Requests in a journal continue when the VMM is back, which need not wait for a slow
            // device.
            timeout = timeout.max(if self.has_journal(index) { own.min(QUIET_TIMEOUT) } else { own });
        }
        self.vmm = Vmm::Leaving { deadline: Instant::now() + timeout, features: self.vmm.features() };
    }

    /// Reports a change of the device's configuration to the VMM.
    pub(super) fn relay_config_change(&mut self) {
        let changed = self.device.as_mut().is_some_and(DeviceLink::take_config_change);
        let now = Instant::now();
        let Some(session) = self.vmm.session_mut() else { return };
        let Some(notifier) = &mut session.config_notifier else { return };
        notifier.due |= changed;
        if notifier.due && notifier.next <= now {
            (notifier.due, notifier.next) = (false, now + CONFIG_CHANGE_INTERVAL);
            let message = Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
            if let Err(error) = notifier.channel.send(&message) {
                let error = ErrorChain(&error);
                tracing::warn!("cannot report a change of the configuration to the VMM: {error}");
                session.config_notifier = None;
            }
        }
    }

    fn all_drained(&self) -> bool {
        (0..self.queues.len()).all(|index| self.in_flight(index) == 0)
    }

    /// Returns whether the device or its successor may still finish the requests in flight.
    const fn may_finish(&self) -> bool {
        self.device.is_some() || self.options.device_type.survives_restart()
    }

    /// Forgets the VMM that has gone, so that another one can connect.
    fn forget_vmm(&mut self) {
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let forwarded = queue.lock().queue.take();
            if let Some(mut forwarded) = forwarded {
                forwarded.detach_vmm();
                let base = forwarded.vring_base();
                tracing::debug!("queue {index} ends at {base:#x}: {}", forwarded.statistics);
            }
            queue.forget();
        }
        self.memory = Default::default();
        self.vmm = Vmm::Absent;
        // A new connection makes the device forget the VMM, too.
        self.reconnect_device();
    }
}
