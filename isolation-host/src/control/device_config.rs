//! Requests that are relayed to the device: requests about the configuration, and all requests that
//! mean the same on both sides.

use std::collections::VecDeque;
use std::time::Instant;

use zerocopy::{FromBytes as _, IntoBytes as _};

use super::Control;
use super::answer::{Answer, RequestError};
use super::pending::{Pending, Wait};
use crate::area::share_size;
use crate::block_limits::{self, Limits};
use crate::device_link::{Relayed, Ticket};
use crate::device_type::DeviceType;
use crate::error_chain::ErrorChain;
use crate::negotiation;
use crate::protocol::payload::ConfigHeader;
use crate::protocol::{Message, Request};

/// The largest number of parts of the configuration that are kept.
const MAX_PARTS: usize = 16;

/// The parts of the configuration from the device's last replies, indexed by their headers.
#[derive(Debug, Default)]
pub(super) struct KnownConfig {
    parts: VecDeque<Vec<u8>>,
}

impl KnownConfig {
    /// Returns the last reply to this request.
    fn get(&self, payload: &[u8]) -> Option<&Vec<u8>> {
        self.parts.iter().find(|part| is_reply_to(part, payload))
    }

    /// Keeps a reply. Returns whether the reply differs from the known configuration.
    fn set(&mut self, reply: &[u8]) -> bool {
        let before = self.parts.iter().position(|part| is_reply_to(part, reply));
        let before = before.and_then(|at| self.parts.remove(at));
        self.parts.push_back(reply.to_owned());
        if self.parts.len() > MAX_PARTS {
            self.parts.pop_front();
        }
        before.is_none_or(|before| before != reply)
    }
}

/// Returns whether the reply and the request have the same header and length.
fn is_reply_to(reply: &[u8], payload: &[u8]) -> bool {
    let header = |bytes: &[u8]| bytes.get(..size_of::<ConfigHeader>()).map(<[u8]>::to_owned);
    reply.len() == payload.len() && header(reply) == header(payload)
}

impl Control {
    /// Writes the device's configuration.
    pub(super) fn write_config(
        &mut self,
        message: &mut Message,
        now: Instant,
    ) -> Result<Answer, RequestError> {
        config_header(message)?;
        self.relay(Request::SetConfig, message, now)
    }

    /// Reads the device's configuration. While there is no device, or the device is slow, repeats
    /// the last reply.
    pub(super) fn read_config(
        &mut self,
        message: &mut Message,
        now: Instant,
    ) -> Result<Answer, RequestError> {
        let header = config_header(message)?;
        let limits = limits_beside(self.options.device_type, &header);
        // The device is asked for the configuration and the limits at the same time, so that the
        // VMM waits only once.
        let limits = limits.and_then(|payload| self.send_relayed(Request::GetConfig, &payload));
        match self.relay(Request::GetConfig, message, now) {
            Ok(Answer::Later(Pending::Relay { ticket, wait, .. })) => {
                Ok(Answer::Later(Pending::Relay { ticket, limits, wait }))
            }
            Err(error @ (RequestError::NoDevice | RequestError::Slow { .. })) => {
                self.known_config(&message.payload, error)
            }
            outcome => outcome,
        }
    }

    /// Returns the configuration from the device's last reply, or the error if there is no such
    /// reply.
    fn known_config(&self, asked: &[u8], error: RequestError) -> Result<Answer, RequestError> {
        let Some(known) = self.config.get(asked) else { return Err(error) };
        let limits = match limits_beside(self.options.device_type, &header(asked)) {
            Some(payload) => self.config.get(&payload).ok_or(error)?,
            None => known,
        };
        Ok(self.limited_config(asked, known.clone(), limits))
    }

    /// Returns the configuration that the device has just replied.
    fn fresh_config(&mut self, asked: &[u8], config: Vec<u8>) -> Answer {
        self.config.set(&config);
        match limits_beside(self.options.device_type, &header(asked)) {
            // The device replied to this request before.
            Some(payload) => {
                let limits = self.config.get(&payload).map_or(&[][..], Vec::as_slice);
                self.limited_config(asked, config, limits)
            }
            None => self.limited_config(asked, config.clone(), &config),
        }
    }

    /// Limits a configuration by a reply with the device's limits.
    fn limited_config(&self, asked: &[u8], mut config: Vec<u8>, limits: &[u8]) -> Answer {
        let bytes = config.get_mut(size_of::<ConfigHeader>()..).unwrap_or_default();
        self.limit_requests(header(asked).offset, limits, bytes);
        Answer::with(&config[..])
    }

    /// Limits the size of the guest's requests to what fits into the isolated area.
    ///
    /// `bytes` is the part of the configuration that begins at `offset`. `whole` is a reply with
    /// the limits of the device.
    fn limit_requests(&self, offset: u32, whole: &[u8], bytes: &mut [u8]) {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        if self.options.device_type != DeviceType::Blk || !has_limits(offset, bytes.len()) {
            return;
        }
        let config = whole.get(size_of::<ConfigHeader>()..).unwrap_or_default();
        let device = config.get(block_limits::FIELDS).and_then(|fields| fields.try_into().ok());
        let share = share_size(self.options.area_size, self.offer().queues.into());
        Limits::new(device.unwrap_or_default(), share).apply(bytes, offset);
    }

    /// Keeps a configuration that has arrived too late for the VMM. Tells the VMM if the
    /// configuration is new.
    fn take_late_config(&mut self, config: &[u8]) {
        if self.config.set(config) {
            let session = self.vmm.session_mut();
            let notifier = session.and_then(|session| session.config_notifier.as_mut());
            if let Some(notifier) = notifier {
                notifier.due = true;
            }
        }
    }

    /// Relays a request to the device.
    ///
    /// File descriptors are relayed only with a request that needs one. Any other file descriptor
    /// would give the device access to a resource of the VMM.
    pub(super) fn relay(
        &mut self,
        request: Request,
        message: &mut Message,
        now: Instant,
    ) -> Result<Answer, RequestError> {
        if !negotiation::understands(self.offer().protocol, request) {
            return Err(RequestError::Unsupported);
        }
        let fds = if carries_fd(request) { vec![message.take_fd()?] } else { Vec::new() };
        let link = self.device.link_mut().ok_or(RequestError::NoDevice)?;
        if link.is_full() {
            return Err(RequestError::Slow { request });
        }
        let ticket = link.relay(request, &message.payload, fds);
        // A VMM that wants no reply does not have to wait for the reply of the device.
        match ticket.filter(|_| request.has_reply() || message.needs_reply()) {
            Some(ticket) => {
                let wait = self.begin_reply_wait(request, now);
                Ok(Answer::Later(Pending::Relay { ticket, limits: None, wait }))
            }
            None => Ok(Answer::Done),
        }
    }

    /// Sends a request to the device, if there is a device that can handle more requests.
    fn send_relayed(&mut self, request: Request, payload: &[u8]) -> Option<Ticket> {
        let link = self.device.link_mut().filter(|link| !link.is_full())?;
        link.relay(request, payload, Vec::new())
    }

    /// Handles the device's reply to a request that was relayed.
    pub(super) fn take_relayed(&mut self, relayed: Relayed, now: Instant) {
        let Relayed { ticket: arrived, request, reply } = relayed;
        let waiting = self.vmm.session().and_then(|session| session.waiting.as_ref());
        let (wanted, needed, wait) = match waiting.map(|waiting| waiting.what) {
            Some(Pending::Relay { ticket, limits, wait }) => {
                (ticket == arrived, limits == Some(arrived), Some(wait))
            }
            _ => (false, false, None),
        };
        let session = self.vmm.session_mut().filter(|_| wanted);
        match (session.and_then(|session| session.waiting.take()), reply) {
            (Some(waiting), reply) => {
                if let Some(wait) = wait {
                    self.end_wait(wait, now);
                }
                let outcome = reply.map_err(RequestError::from);
                let outcome = outcome.and_then(|reply| self.use_reply(request, &waiting.request, reply));
                self.conclude(waiting.request, outcome);
            }
            (None, Ok(reply)) if request == Request::GetConfig && needed => {
                self.config.set(&reply.payload);
            }
            (None, Ok(reply)) if request == Request::GetConfig => self.take_late_config(&reply.payload),
            (None, Ok(_)) => tracing::debug!("the device has answered {request:?} late"),
            (None, Err(error)) => tracing::debug!("{}", ErrorChain(&error)),
        }
    }

    /// Returns what the device's reply means for the VMM's request.
    fn use_reply(
        &mut self,
        request: Request,
        asked: &Message,
        reply: Message,
    ) -> Result<Answer, RequestError> {
        if request == Request::GetConfig {
            let (bytes, asked_bytes) = (reply.payload.len(), asked.payload.len());
            if bytes != asked_bytes {
                return Err(RequestError::ConfigAnswer { bytes, asked: asked_bytes });
            }
            return Ok(self.fresh_config(&asked.payload, reply.payload));
        }
        if !request.has_reply() {
            return Ok(Answer::Done);
        }
        let fd = reply.fds.into_iter().next().filter(|_| carries_fd(request));
        Ok(Answer::Reply { payload: reply.payload, fd })
    }

    /// Answers a request if the device does not reply in time, or if the device was lost.
    pub(super) fn continue_relay(
        &mut self,
        message: &Message,
        what: Pending,
        wait: Wait,
        now: Instant,
    ) -> Result<Answer, RequestError> {
        let error = match Request::try_from(message.request) {
            _ if !self.has_device() => RequestError::NoDevice,
            Ok(request) if wait.is_over(now) => RequestError::Slow { request },
            _ => return Ok(Answer::Later(what)),
        };
        self.end_wait(wait, now);
        if message.request == Request::GetConfig as u32 {
            return self.known_config(&message.payload, error);
        }
        Err(error)
    }
}

/// Returns whether the only file descriptor of a request, and the file descriptor of its reply, are
/// relayed.
fn carries_fd(request: Request) -> bool {
    request == Request::SetDeviceStateFd
}

/// Returns whether a part of a disk's configuration contains the limits of requests.
const fn has_limits(offset: usize, len: usize) -> bool {
    let fields = block_limits::FIELDS;
    offset < fields.end && offset.saturating_add(len) > fields.start
}

/// Returns the request for the limits of a disk, the bytes at [`block_limits::FIELDS`], if the
/// answer to a request with this header depends on limits that the reply to the request does not
/// contain.
fn limits_beside(device_type: DeviceType, header: &ConfigHeader) -> Option<Vec<u8>> {
    let fields = block_limits::FIELDS;
    let (offset, len) = (usize::try_from(header.offset).ok()?, usize::try_from(header.size).ok()?);
    let own = offset == 0 && len >= fields.end;
    if device_type != DeviceType::Blk || own || !has_limits(offset, len) {
        return None;
    }
    // The request asks for all bytes from offset 0, because common devices ignore the offset.
    let header = ConfigHeader { offset: 0, size: u32::try_from(fields.end).ok()?, flags: 0 };
    Some([header.as_bytes(), &[0; block_limits::FIELDS.end]].concat())
}

/// Returns the header of a configuration, which is empty if there is none.
fn header(config: &[u8]) -> ConfigHeader {
    ConfigHeader::read_from_prefix(config).map_or_else(|_| ConfigHeader::default(), |(header, _)| header)
}

/// Returns the header of a request about the configuration, if the announced bytes follow.
fn config_header(message: &Message) -> Result<ConfigHeader, RequestError> {
    let (header, bytes): (ConfigHeader, _) = message.body_and_rest()?;
    let size = header.size;
    if usize::try_from(size).ok() == Some(bytes.len()) {
        Ok(header)
    } else {
        Err(RequestError::Config { bytes: bytes.len(), size })
    }
}
