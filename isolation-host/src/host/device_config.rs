//! Requests that are relayed to the device: the configuration, and all that means the same on both
//! sides.

use std::collections::VecDeque;

use zerocopy::IntoBytes as _;

use super::Host;
use super::answer::{Answer, RequestError};
use crate::area::share_size;
use crate::block_limits::{self, Limits};
use crate::device_link::LinkError;
use crate::device_type::DeviceType;
use crate::error_chain::ErrorChain;
use crate::negotiation;
use crate::protocol::payload::ConfigHeader;
use crate::protocol::{Message, Request};

/// The largest number of parts of the configuration that are kept.
const MAX_PARTS: usize = 16;

/// The parts of the configuration that the device has replied last, by their headers.
#[derive(Debug, Default)]
pub(super) struct KnownConfig {
    parts: VecDeque<Vec<u8>>,
}

impl KnownConfig {
    /// Returns the last reply to this request.
    fn get(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let part = self.parts.iter().find(|part| is_reply_to(part, payload))?;
        Some(part.clone())
    }

    /// Keeps a reply. Returns whether it differs from what was known.
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

/// Returns whether both have the same header and length.
fn is_reply_to(reply: &[u8], payload: &[u8]) -> bool {
    let header = |bytes: &[u8]| bytes.get(..size_of::<ConfigHeader>()).map(<[u8]>::to_owned);
    reply.len() == payload.len() && header(reply) == header(payload)
}

impl Host {
    /// Writes the device's configuration.
    pub(super) fn write_config(&mut self, message: &mut Message) -> Result<Answer, RequestError> {
        config_header(message)?;
        self.relay(Request::SetConfig, message)
    }

    /// Reads the device's configuration. While there is no device, or the device is slow, repeats
    /// the last reply.
    pub(super) fn read_config(&mut self, message: &mut Message) -> Result<Answer, RequestError> {
        let ConfigHeader { offset, .. } = config_header(message)?;
        let mut config = self.ask_config(&message.payload)?;
        self.limit_requests(offset, config.get_mut(size_of::<ConfigHeader>()..).unwrap_or_default())?;
        Ok(Answer::to(message, &config[..]))
    }

    /// Asks the device for a part of its configuration. The reply has the length of the request.
    fn ask_config(&mut self, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
        let request = Request::GetConfig;
        let reply = match self.relay(request, &mut Message::request(request, payload)) {
            Ok(Answer::Reply(reply)) => reply.payload,
            Ok(Answer::Done | Answer::Later) => Vec::new(),
            Err(error @ (RequestError::NoDevice | RequestError::Device(LinkError::Slow { .. }))) => {
                return self.config.get(payload).ok_or(error);
            }
            Err(error) => return Err(error),
        };
        let (bytes, asked) = (reply.len(), payload.len());
        if bytes != asked {
            return Err(RequestError::ConfigAnswer { bytes, asked });
        }
        self.config.set(&reply);
        Ok(reply)
    }

    /// Keeps a configuration that has come too late for the VMM. Tells the VMM if it is new.
    pub(super) fn take_late_config(&mut self, config: Vec<u8>) {
        if self.config.set(&config) {
            let session = self.vmm.session_mut();
            let notifier = session.and_then(|session| session.config_notifier.as_mut());
            notifier.into_iter().for_each(|notifier| notifier.due = true);
        }
    }

    /// Limits the size of the guest's requests to what fits into the isolated area.
    ///
    /// `bytes` is the part of the configuration that begins at `offset`.
    fn limit_requests(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), RequestError> {
        let fields = block_limits::FIELDS;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(bytes.len());
        if self.options.device_type != DeviceType::Blk || offset >= fields.end || end <= fields.start {
            return Ok(());
        }
        let device = match bytes.get(fields).filter(|_| offset == 0) {
            Some(known) => known.try_into().unwrap_or_default(),
            None => self.ask_limits()?,
        };
        let share = share_size(self.options.area_size, self.offer.queues.into());
        Limits::new(device, share).apply(bytes, offset);
        Ok(())
    }

    /// Asks the device for the limits of its requests, the bytes at [`block_limits::FIELDS`].
    fn ask_limits(&mut self) -> Result<[u8; 8], RequestError> {
        // Asks for all from offset 0, because common devices ignore the offset.
        let fields = block_limits::FIELDS;
        let header = ConfigHeader { offset: 0, size: u32::try_from(fields.end).unwrap_or(0), flags: 0 };
        let payload = [header.as_bytes(), &[0; block_limits::FIELDS.end]].concat();
        let reply = self.ask_config(&payload)?;
        let device = reply.get(size_of::<ConfigHeader>()..).and_then(|config| config.get(fields));
        Ok(device.and_then(|fields| fields.try_into().ok()).unwrap_or_default())
    }

    /// Relays a request to the device.
    ///
    /// File descriptors are relayed only with a request that needs one. Any other file descriptor
    /// would give the device access to a resource of the VMM.
    pub(super) fn relay(&mut self, request: Request, message: &mut Message) -> Result<Answer, RequestError> {
        if !negotiation::understands(self.offer.protocol, request) {
            return Err(RequestError::Unsupported);
        }
        let link = self.device.as_mut().ok_or(RequestError::NoDevice)?;
        let carries_fd = request == Request::SetDeviceStateFd;
        let fds = if carries_fd { vec![message.take_fd()?] } else { Vec::new() };
        match link.relay(request, &message.payload, fds) {
            Ok(Some(reply)) => {
                let fd = reply.fds.into_iter().next().filter(|_| carries_fd);
                let reply = message.reply(&reply.payload[..]);
                Ok(Answer::Reply(fd.into_iter().fold(reply, Message::with_fd)))
            }
            Ok(None) => Ok(Answer::Done),
            Err(error @ (LinkError::Refused { .. } | LinkError::Slow { .. })) => Err(error.into()),
            Err(error) => {
                self.lose_device(&ErrorChain(&error).to_string());
                Err(error.into())
            }
        }
    }
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
