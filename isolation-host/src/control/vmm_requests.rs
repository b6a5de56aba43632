//! The VMM's requests, to which isolation-host is the vhost-user back-end.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use super::Control;
use super::answer::{Answer, RequestError};
use super::event::Action;
use super::pending::AfterStop;
use super::queue::number;
use super::vmm_session::ConfigNotifier;
use crate::error_chain::ErrorChain;
use crate::forward::QueueEvent;
use crate::negotiation;
use crate::protocol::payload::{SingleRegion, VringAddr, VringFd, VringState};
use crate::protocol::{Message, Request};

/// The largest number of memory regions that a VMM may share: the limit of the kernel's vhost.
///
/// A VMM that migrates a guest to this host may rely on this number, so a later version must not
/// lower it.
const MEMORY_SLOTS: u64 = 509;

impl Control {
    /// Serves one request of the VMM.
    pub(super) fn serve(&mut self, mut message: Message, now: Instant) {
        let name = Request::try_from(message.request);
        tracing::trace!("the VMM sends {name:?} with {} bytes", message.payload.len());
        let outcome = match name {
            Ok(request) if negotiation::is_relayed(request) => self.relay(request, &mut message, now),
            Ok(request) => self.answer(request, &mut message, now),
            Err(_) => Err(RequestError::Unknown(message.request)),
        };
        self.conclude(message, outcome);
    }

    /// Answers a request of the VMM. Logs why it is refused.
    pub(super) fn answer_vmm(&mut self, message: &Message, outcome: Result<Answer, RequestError>) {
        let refused = u64::from(outcome.is_err());
        let answer = outcome.unwrap_or_else(|error| {
            let (error, name) = (ErrorChain(&error), Request::try_from(message.request));
            match name {
                Ok(request) => tracing::warn!("refusing the VMM's {request:?}: {error}"),
                Err(_) => tracing::warn!("refusing a request of the VMM: {error}"),
            }
            match name {
                // The VMM waits for a reply. An empty payload cannot be mistaken for a success.
                Ok(request) if request.has_reply() => Answer::with(&[0u8; 0]),
                _ => Answer::Done,
            }
        });
        let reply = match answer {
            Answer::Reply { payload, fd } => {
                fd.into_iter().fold(message.reply(&payload[..]), Message::with_fd)
            }
            Answer::Done if message.needs_reply() => message.reply(&refused),
            Answer::Done | Answer::Later(_) => return,
        };
        // The VMM may have been disconnected with the device.
        if self.vmm.session().is_some() {
            self.actions.push(Action::ToVmm(reply));
        }
    }

    fn answer(
        &mut self,
        request: Request,
        message: &mut Message,
        now: Instant,
    ) -> Result<Answer, RequestError> {
        match request {
            Request::GetFeatures => return Ok(self.offered_features()),
            Request::SetFeatures => self.set_features(message.body()?, now)?,
            Request::GetProtocolFeatures => return Ok(self.offered_protocol_features()),
            // The protocol features that were offered apply whether they are acknowledged or not.
            // Writes to the dirty log are not notified, because VMMs read the log periodically.
            Request::SetProtocolFeatures | Request::SetOwner | Request::SetLogFd => {}
            Request::ResetOwner => return Ok(self.stop_all(AfterStop::Keep, now)),
            Request::ResetDevice => return Ok(self.stop_all(AfterStop::Reset, now)),
            Request::SetStatus => self.set_status(message.body()?),
            Request::GetStatus => return Ok(self.status()),
            Request::SetMemTable => self.set_memory_table(message)?,
            Request::GetMaxMemSlots => return Ok(Answer::with(&MEMORY_SLOTS)),
            Request::AddMemReg => self.add_memory(message)?,
            Request::RemMemReg => self.memory.remove(&message.body::<SingleRegion>()?.region)?,
            Request::SetLogBase => return self.set_dirty_log(message),
            Request::GetInflightFd => return self.make_journals(message),
            Request::SetInflightFd => self.set_journals(message)?,
            Request::GetQueueNum => return Ok(self.queue_count()),
            Request::GetConfig => return self.read_config(message, now),
            Request::SetConfig => return self.write_config(message, now),
            Request::SetBackendReqFd => self.set_backend_channel(message, now)?,
            _ => return self.answer_about_queue(request, message, now),
        }
        Ok(Answer::Done)
    }

    /// Serves a request about one queue.
    fn answer_about_queue(
        &mut self,
        request: Request,
        message: &mut Message,
        now: Instant,
    ) -> Result<Answer, RequestError> {
        match request {
            Request::SetVringNum => self.set_vring_size(message)?,
            Request::SetVringBase => self.set_vring_base(message)?,
            Request::SetVringAddr => self.set_vring_addresses(message)?,
            Request::SetVringKick => self.set_vring_kick(message, now)?,
            Request::SetVringCall => self.set_vring_call(message)?,
            Request::SetVringErr => self.set_vring_error(message)?,
            Request::SetVringEnable => self.set_vring_enable(message)?,
            Request::GetVringBase => return self.stop_queue(message, now),
            // Every other request is refused, and the log says so.
            _ => return Err(RequestError::Unsupported),
        }
        Ok(Answer::Done)
    }

    fn offered_features(&self) -> Answer {
        Answer::with(&negotiation::offered(self.offer().features))
    }

    fn offered_protocol_features(&self) -> Answer {
        Answer::with(&negotiation::protocol_offered(self.offer().protocol))
    }

    fn queue_count(&self) -> Answer {
        Answer::with(&(u64::from(self.offer().queues) / self.options.device_type.queues_per_unit()))
    }

    fn status(&self) -> Answer {
        Answer::with(&self.vmm.session().map_or(0, |session| session.status))
    }

    fn set_status(&mut self, status: u64) {
        if let Some(session) = self.vmm.session_mut() {
            session.status = status;
        }
    }

    fn set_features(&mut self, wanted: u64, now: Instant) -> Result<(), RequestError> {
        negotiation::accept(self.offer().features, wanted)?;
        if let Some(session) = self.vmm.session_mut() {
            session.features = wanted;
        }
        self.update_dirty_log();
        let Some(offered) = self.device.link().map(|link| link.features) else { return Ok(()) };
        let features = self.features_to_request(offered, wanted)?;
        if let Some(Err(error)) = self.device.link_mut().map(|link| link.set_features(features)) {
            self.lose_device(&ErrorChain(&error).to_string(), now);
        }
        Ok(())
    }

    fn set_backend_channel(&mut self, message: &mut Message, now: Instant) -> Result<(), RequestError> {
        self.actions.push(Action::VmmBackend(message.take_fd()?));
        if let Some(session) = self.vmm.session_mut() {
            session.config_notifier = Some(ConfigNotifier { next: now, due: false });
        }
        Ok(())
    }

    /// Checks that a queue exists.
    pub(super) fn queue_index(&self, index: u64) -> Result<usize, RequestError> {
        let queues = self.queues.len();
        let known = usize::try_from(index).ok().filter(|index| *index < queues);
        known.ok_or(RequestError::NoSuchQueue { index, queues })
    }

    /// Returns the index and the value of a message about a queue that is not running.
    fn stopped_queue(&self, message: &Message) -> Result<(usize, u32), RequestError> {
        let VringState { index, num } = message.body()?;
        let index = self.queue_index(index.into())?;
        if self.queues[index].is_started() { Err(RequestError::Running { index }) } else { Ok((index, num)) }
    }

    fn set_vring_size(&mut self, message: &Message) -> Result<(), RequestError> {
        let (index, num) = self.stopped_queue(message)?;
        let size = u16::try_from(num).ok().filter(|size| (1..=32768).contains(size));
        self.queues[index].size = size.ok_or(RequestError::QueueSize { num })?;
        Ok(())
    }

    fn set_vring_base(&mut self, message: &Message) -> Result<(), RequestError> {
        let (index, base) = self.stopped_queue(message)?;
        self.queues[index].base = base;
        Ok(())
    }

    fn set_vring_addresses(&mut self, message: &Message) -> Result<(), RequestError> {
        let areas: VringAddr = message.body()?;
        let index = self.queue_index(areas.index.into())?;
        // The VMM may send this for a running queue to change the log flag, which has no effect
        // here. The addresses apply when the queue is started the next time.
        self.queues[index].areas = Some(areas);
        Ok(())
    }

    fn set_vring_enable(&mut self, message: &Message) -> Result<(), RequestError> {
        let VringState { index, num } = message.body()?;
        let index = self.queue_index(index.into())?;
        self.queues[index].enabled = num != 0;
        self.apply_enable(index);
        Ok(())
    }

    fn set_vring_call(&mut self, message: &mut Message) -> Result<(), RequestError> {
        let (index, fd) = self.vring_fd(message)?;
        let mut active = self.queues[index].lock();
        active.call = fd;
        active.notify_guest();
        drop(active);
        self.wake(index);
        Ok(())
    }

    fn set_vring_error(&mut self, message: &mut Message) -> Result<(), RequestError> {
        let (index, fd) = self.vring_fd(message)?;
        self.queues[index].lock().error = fd;
        self.wake(index);
        Ok(())
    }

    /// Sets the kick file descriptor, which starts the queue.
    fn set_vring_kick(&mut self, message: &mut Message, now: Instant) -> Result<(), RequestError> {
        let (index, fd) = self.vring_fd(message)?;
        let kick = Arc::new(fd.ok_or(RequestError::NoKick { index })?);
        let queue = &mut self.queues[index];
        if let Some(fd) = queue.kick.replace(Arc::clone(&kick)) {
            self.actions.push(Action::Ignore { index, fd });
        }
        if !queue.is_started() {
            return Ok(self.start_queue(index, now)?);
        }
        self.actions.push(Action::Listen { index, fd: kick, event: QueueEvent::Kick(number(index)) });
        self.wake(index);
        Ok(())
    }

    /// Returns the index and the file descriptor of a message that sets a notification.
    fn vring_fd(&self, message: &mut Message) -> Result<(usize, Option<OwnedFd>), RequestError> {
        let what = VringFd(message.body()?);
        let index = self.queue_index(what.index())?;
        let fd = if what.has_no_fd() { None } else { Some(message.take_fd()?) };
        Ok((index, fd))
    }
}
