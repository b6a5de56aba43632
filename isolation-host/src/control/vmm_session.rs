//! The connection to the VMM.

use std::time::{Duration, Instant};

use super::Control;
use super::event::Action;
use super::pending::Waiting;
use super::queue_stop::QUIET_TIMEOUT;
use crate::journal::JournalMemory;
use crate::mmap::Window;
use crate::protocol::{BackendRequest, Message};

/// The shortest interval between two messages that the configuration has changed.
///
/// A device may report changes without end.
const CONFIG_CHANGE_INTERVAL: Duration = Duration::from_millis(20);

/// How long a VMM has to wait for a device that was lost.
///
/// The VMM's first requests may need a device, and a device that only has to reconnect returns
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
        /// The time after which isolation-host no longer waits for the requests.
        deadline: Instant,
        /// The virtio features that the VMM had negotiated.
        features: u64,
    },
}

/// A connection to a VMM.
#[derive(Debug, Default)]
pub(super) struct Session {
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
    /// The request that is answered later. No other request is received meanwhile.
    pub(super) waiting: Option<Waiting>,
}

/// Reports changes of the configuration to the VMM.
#[derive(Debug)]
pub(super) struct ConfigNotifier {
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
                let waiting = session.waiting.as_ref().map(|waiting| waiting.what.deadline());
                let notifier = session.config_notifier.as_ref().filter(|notifier| notifier.due);
                waiting.into_iter().chain(notifier.map(|notifier| notifier.next)).min()
            }
            Self::Leaving { deadline, .. } => Some(*deadline),
        }
    }
}

impl Control {
    /// Returns whether a VMM may connect now.
    ///
    /// There is one VMM at a time. A VMM waits for a device that is expected to reconnect soon.
    pub(crate) fn accepts_vmm(&self, now: Instant) -> bool {
        matches!(self.vmm, Vmm::Absent) && self.offer.is_some() && self.grace_deadline(now).is_none()
    }

    /// Returns whether there is no VMM, neither connected nor leaving.
    pub(crate) const fn has_no_vmm(&self) -> bool {
        matches!(self.vmm, Vmm::Absent)
    }

    /// Returns whether a VMM is connected.
    pub(crate) const fn has_vmm(&self) -> bool {
        matches!(self.vmm, Vmm::Present(_))
    }

    /// Returns the time until which a VMM waits for the device to reconnect, if a VMM waits.
    pub(super) fn grace_deadline(&self, now: Instant) -> Option<Instant> {
        let end = self.lost? + RECONNECT_GRACE;
        (!self.has_device() && now < end).then_some(end)
    }

    pub(super) fn start_session(&mut self) {
        tracing::info!("a VMM has connected");
        self.totals.vmm_connections += 1;
        self.vmm = Vmm::Present(Box::default());
    }

    /// Handles the loss of the VMM.
    ///
    /// Requests in flight are finished, because a VMM without an in-flight region cannot submit
    /// them again.
    pub(super) fn lose_vmm(&mut self, why: &str, now: Instant) {
        if !self.has_vmm() {
            return;
        }
        tracing::info!("the VMM is gone: {why}");
        self.actions.push(Action::DisconnectVmm);
        let mut timeout = Duration::ZERO;
        for index in 0..self.queues.len() {
            self.begin_drain(index);
            let own = self.drain_timeout(index);
            // Requests in a journal continue when the VMM has reconnected, so the VMM need not wait
            // for a slow device.
            timeout = timeout.max(if self.has_journal(index) { own.min(QUIET_TIMEOUT) } else { own });
        }
        self.vmm = Vmm::Leaving { deadline: now + timeout, features: self.vmm.features() };
    }

    /// Reports a change of the device's configuration to the VMM.
    pub(super) fn relay_config_change(&mut self, now: Instant) {
        let changed = self.backend.take_config_change();
        let Some(session) = self.vmm.session_mut() else { return };
        let Some(notifier) = &mut session.config_notifier else { return };
        notifier.due |= changed;
        if notifier.due && notifier.next <= now {
            (notifier.due, notifier.next) = (false, now + CONFIG_CHANGE_INTERVAL);
            let message = Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
            self.actions.push(Action::ToVmmBackend(message));
        }
    }

    /// Forgets a VMM that has left, once its requests are finished or the deadline has passed.
    pub(super) fn end_leaving(&mut self, now: Instant) {
        if let Vmm::Leaving { deadline, .. } = self.vmm {
            if deadline <= now || self.all_drained() || !self.may_finish() {
                self.forget_vmm(now);
            }
        }
    }

    fn all_drained(&self) -> bool {
        (0..self.queues.len()).all(|index| self.in_flight(index) == 0)
    }

    /// Returns whether the device or its successor may still finish the requests in flight.
    const fn may_finish(&self) -> bool {
        self.has_device() || self.options.device_type.survives_restart()
    }

    /// Forgets the VMM that has gone, so that another one can connect.
    fn forget_vmm(&mut self, now: Instant) {
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let forwarded = queue.lock().queue.take();
            if let Some(mut forwarded) = forwarded {
                forwarded.detach_vmm();
                queue.counters.hold_nothing();
                let base = forwarded.vring_base();
                tracing::debug!("queue {index} ends at {base:#x}: {}", forwarded.counters);
            }
            queue.forget();
        }
        self.memory = Default::default();
        self.vmm = Vmm::Absent;
        // A new connection makes the device forget the VMM, too.
        self.reconnect_device(now);
    }
}
