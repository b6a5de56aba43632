//! Requests that are relayed to the device: the configuration, and all that means the same on both
//! sides.

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

impl Host {
    /// Writes the device's configuration.
    pub(super) fn write_config(&mut self, message: &mut Message) -> Result<Answer, RequestError> {
        config_header(message)?;
        self.relay(Request::SetConfig, message)
    }

    /// Reads the device's configuration. While there is no device, repeats the last reply.
    pub(super) fn read_config(&mut self, message: &mut Message) -> Result<Answer, RequestError> {
        let ConfigHeader { offset, .. } = config_header(message)?;
        let asked = message.payload.get(..size_of::<ConfigHeader>()).unwrap_or_default();
        let known = self.config.as_deref().filter(|known| known.starts_with(asked));
        if let Some(known) = known.filter(|_| self.device.is_none()) {
            return Ok(Answer::to(message, known));
        }
        let mut config = self.ask_config(&message.payload)?;
        self.limit_requests(offset, config.get_mut(size_of::<ConfigHeader>()..).unwrap_or_default())?;
        let answer = Answer::to(message, &config[..]);
        self.config = Some(config);
        Ok(answer)
    }

    /// Asks the device for a part of its configuration. The reply has the length of the request.
    fn ask_config(&mut self, payload: &[u8]) -> Result<Vec<u8>, RequestError> {
        let request = Request::GetConfig;
        let answer = self.relay(request, &mut Message::request(request, payload))?;
        let reply = if let Answer::Reply(reply) = answer { reply.payload } else { Vec::new() };
        let (bytes, asked) = (reply.len(), payload.len());
        if bytes == asked { Ok(reply) } else { Err(RequestError::ConfigAnswer { bytes, asked }) }
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
            Err(error @ LinkError::Refused { .. }) => Err(error.into()),
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
