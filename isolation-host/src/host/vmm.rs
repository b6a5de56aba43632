//! The VMM: its coming and going.

use std::time::{Duration, Instant};

use super::stop::QUIET;
use super::{Host, HostError, Source};
use crate::causes::WithCauses;
use crate::device_link::{DeviceLink, Greeting};
use crate::journal::JournalMemory;
use crate::mmap::Window;
use crate::protocol::{BackendRequest, Channel, Message, ReceiveError};

/// How often a VMM is told of changes at most. A device may claim them without end.
const BETWEEN_NEWS: Duration = Duration::from_millis(20);

/// How long a VMM is kept waiting for a device that has just gone. What it asks first may need one, and a device that
/// was only hung up on is back in a moment.
const GRACE: Duration = Duration::from_secs(1);

/// Whether there is a VMM.
#[derive(Debug)]
pub(super) enum Vmm {
    /// None.
    Absent,
    /// One is connected.
    Present(Box<Session>),
    /// One has gone, and what it left in flight is being finished.
    Leaving {
        /// When that has taken long enough.
        deadline: Instant,
        /// The virtio features that it had asked for.
        features: u64,
    },
}

/// A connection to a VMM.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) channel: Channel,
    /// The virtio features that it asked for.
    pub(super) features: u64,
    /// The device status, which only the VMM writes and reads.
    pub(super) status: u64,
    /// The log of dirty pages, in use only while the feature is on.
    pub(super) log: Option<Window>,
    /// Where it keeps what is in flight, if it does.
    pub(super) journals: Option<JournalMemory>,
    /// Where it is told of changes of the configuration, if it wants to be.
    pub(super) news: Option<News>,
    /// The queue that is being stopped. The VMM waits for that, and is not heard meanwhile.
    pub(super) stopping: Option<Stopping>,
}

/// How a VMM is told that the configuration has changed.
#[derive(Debug)]
pub(super) struct News {
    pub(super) channel: Channel,
    /// When it may be told next.
    pub(super) next: Instant,
    /// Whether there is something to tell.
    pub(super) due: bool,
}

/// A queue that is being stopped.
#[derive(Debug)]
pub(super) struct Stopping {
    pub(super) index: usize,
    /// The request to answer.
    pub(super) request: Message,
    /// Requests in flight when it was last looked.
    pub(super) left: usize,
    /// When it has taken long enough.
    pub(super) deadline: Instant,
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

    /// The virtio features that its queues have; 0 if it has asked for none yet.
    pub(super) const fn features(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Present(session) => session.features,
            Self::Leaving { features, .. } => *features,
        }
    }

    /// When something has to be done for it unasked.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Absent => None,
            Self::Present(session) => {
                let stopping = session.stopping.as_ref().map(|stopping| stopping.deadline);
                let news = session.news.as_ref().filter(|news| news.due).map(|news| news.next);
                stopping.into_iter().chain(news).min()
            }
            Self::Leaving { deadline, .. } => Some(*deadline),
        }
    }
}

impl Host {
    /// Looks for whoever is missing. Returns whether there is, or may be, a VMM.
    pub(super) fn seek_peers(&mut self) -> Result<bool, HostError> {
        let due = |at: Instant| at <= Instant::now();
        if let Vmm::Leaving { deadline, .. } = self.vmm
            && (due(deadline) || self.all_drained() || !self.may_finish())
        {
            self.forget_vmm();
        }
        if self.greeting.as_ref().map(Greeting::deadline).is_some_and(due) {
            self.hear_greeting();
        }
        // Before the next VMM is let in, if this one has been forgotten just now.
        if self.retry.at().is_some_and(due) {
            self.seek_device()?;
        }
        self.open_door();
        if matches!(self.vmm, Vmm::Absent) && self.vmm_door.is_used_up() {
            return Ok(false);
        }
        if matches!(self.vmm, Vmm::Absent) && self.device.is_some() && self.vmm_door.listener().is_none() {
            match self.vmm_door.connection() {
                Ok(Some(channel)) => self.let_in(channel),
                Ok(None) => self.retry.soon(),
                Err(source) => {
                    return Err(HostError::NoPeer { endpoint: self.options.vmm.clone(), source });
                }
            }
        }
        Ok(true)
    }

    /// A VMM is at the door.
    pub(super) fn admit_vmm(&mut self) {
        if !self.is_open() {
            if self.vmm.session().is_some() {
                tracing::info!("another VMM wants to connect, and has to wait until this one has left");
            }
            if let Some(listener) = self.vmm_door.listener() {
                self.poller.pause(listener, Source::Door);
            }
            return;
        }
        match self.vmm_door.connection() {
            Ok(Some(channel)) => self.let_in(channel),
            Ok(None) => {}
            Err(error) => tracing::warn!("a VMM could not be let in: {error}"),
        }
    }

    /// Whether a VMM is let in: one at a time, and not before there is a device again, if that is a matter of moments.
    fn is_open(&self) -> bool {
        matches!(self.vmm, Vmm::Absent) && self.grace().is_none()
    }

    /// Until when a VMM is kept waiting for a device, if it is.
    pub(super) fn grace(&self) -> Option<Instant> {
        let end = self.lost + GRACE;
        (self.device.is_none() && Instant::now() < end).then_some(end)
    }

    /// Lets the next VMM in, if it may come now.
    fn open_door(&self) {
        if let Some(listener) = self.vmm_door.listener().filter(|_| self.is_open()) {
            self.poller.go_on(listener, Source::Door);
        }
    }

    fn let_in(&mut self, channel: Channel) {
        if let Err(error) = self.poller.add(&channel, Source::Vmm) {
            tracing::warn!("a VMM could not be let in: {error}");
            return;
        }
        tracing::info!("a VMM has connected");
        let (log, journals, news, stopping) = (None, None, None, None);
        let session = Session { channel, features: 0, status: 0, log, journals, news, stopping };
        self.vmm = Vmm::Present(Box::new(session));
    }

    /// The VMM has sent something, or hung up.
    pub(super) fn hear_vmm(&mut self) {
        let Some(session) = self.vmm.session_mut() else { return };
        if session.stopping.is_some() {
            // Only its end is listened for now.
            self.lose_vmm(&ReceiveError::Closed.to_string());
            return;
        }
        // One at a time, so that a VMM that talks without end does not keep the queues waiting.
        match session.channel.receive() {
            Ok(Some(message)) => self.serve(message),
            Ok(None) => {}
            Err(error) => self.lose_vmm(&WithCauses(&error).to_string()),
        }
    }

    /// The VMM is gone. What is in flight is finished, so that one that comes back finds nothing missing, unless it
    /// has kept a journal.
    pub(super) fn lose_vmm(&mut self, why: &str) {
        let Some(session) = self.vmm.session() else { return };
        tracing::info!("the VMM is gone: {why}");
        self.poller.remove(&session.channel);
        let mut patience = Duration::ZERO;
        for index in 0..self.queues.len() {
            self.close_queue(index);
            let own = self.patience(index);
            // What is noted in a journal goes on when the VMM is back, which need not wait for a slow device.
            patience = patience.max(if self.has_journal(index) { own.min(QUIET) } else { own });
        }
        self.vmm = Vmm::Leaving { deadline: Instant::now() + patience, features: self.vmm.features() };
    }

    /// Tells the VMM that the configuration has changed, if it has, but not all the time.
    pub(super) fn relay_config_change(&mut self) {
        let changed = self.device.as_mut().is_some_and(DeviceLink::take_config_change);
        let now = Instant::now();
        let Some(session) = self.vmm.session_mut() else { return };
        let Some(news) = &mut session.news else { return };
        news.due |= changed;
        if news.due && news.next <= now {
            (news.due, news.next) = (false, now + BETWEEN_NEWS);
            let message = Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
            if let Err(error) = news.channel.send(&message) {
                let error = WithCauses(&error);
                tracing::warn!("the VMM cannot be told that the configuration has changed: {error}");
                session.news = None;
            }
        }
    }

    fn all_drained(&self) -> bool {
        (0..self.queues.len()).all(|index| self.in_flight(index) == 0)
    }

    /// Whether what is in flight can be expected to be finished: by the device, or by its successor.
    const fn may_finish(&self) -> bool {
        self.device.is_some() || self.options.device_type.survives_a_restart()
    }

    /// Forgets all about the VMM that was, and lets the next one in.
    fn forget_vmm(&mut self) {
        for (index, queue) in self.queues.iter_mut().enumerate() {
            let shadow = queue.lane().shadow.take();
            if let Some(mut shadow) = shadow {
                shadow.abandon();
                tracing::debug!("queue {index} ends at {:#x}: {}", shadow.vring_base(), shadow.statistics);
            }
            queue.forget();
        }
        self.memory = Default::default();
        self.vmm = Vmm::Absent;
        // The surest way to make the device forget it, too.
        self.renew_device();
    }
}
