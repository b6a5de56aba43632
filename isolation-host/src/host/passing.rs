//! What the VMM asks that means the same to the device: it is passed on.

use zerocopy::IntoBytes as _;

use super::Host;
use super::requests::{Answer, RequestError};
use crate::area::size_of_share;
use crate::block_limits::{self, Limits};
use crate::causes::WithCauses;
use crate::device_link::LinkError;
use crate::device_type::DeviceType;
use crate::negotiation;
use crate::protocol::payload::ConfigHeader;
use crate::protocol::{Message, Request};

impl Host {
    /// Reads or writes the configuration.
    pub(super) fn configuration(
        &mut self,
        request: Request,
        message: &mut Message,
    ) -> Result<Answer, RequestError> {
        let (ConfigHeader { offset, size, .. }, bytes) = message.body_and_rest()?;
        if usize::try_from(size).ok() != Some(bytes.len()) {
            return Err(RequestError::Config { bytes: bytes.len(), size });
        }
        if request == Request::SetConfig {
            return self.pass_on(request, message);
        }
        let asked = message.payload.get(..size_of::<ConfigHeader>()).unwrap_or_default();
        let known = self.configuration.as_deref().filter(|known| known.starts_with(asked));
        if let Some(known) = known.filter(|_| self.device.is_none()) {
            return Ok(Answer::Reply(message.reply(known)));
        }
        let mut reply = self.ask_configuration(&message.payload)?;
        self.limit_requests(offset, reply.get_mut(size_of::<ConfigHeader>()..).unwrap_or_default())?;
        let answer = Answer::Reply(message.reply(&reply[..]));
        self.configuration = Some(reply);
        Ok(answer)
    }

    /// Asks the device for a piece of the configuration. What it answers is as long as the question.
    fn ask_configuration(&mut self, question: &[u8]) -> Result<Vec<u8>, RequestError> {
        let request = Request::GetConfig;
        let answer = self.pass_on(request, &mut Message::request(request, question))?;
        let payload = if let Answer::Reply(reply) = answer { reply.payload } else { Vec::new() };
        let (bytes, asked) = (payload.len(), question.len());
        if bytes == asked { Ok(payload) } else { Err(RequestError::ConfigAnswer { bytes, asked }) }
    }

    /// Sees to it that a guest makes no larger requests than fit, in bytes of the configuration that begin at `offset`.
    fn limit_requests(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), RequestError> {
        let fields = block_limits::FIELDS;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = offset.saturating_add(bytes.len());
        if self.options.device_type != DeviceType::Blk || offset >= fields.end || end <= fields.start {
            return Ok(());
        }
        // From the beginning, because widespread devices take no notice of where a question begins.
        let header = ConfigHeader { offset: 0, size: u32::try_from(fields.end).unwrap_or(0), flags: 0 };
        let question = [header.as_bytes(), &[0; block_limits::FIELDS.end]].concat();
        let answer = self.ask_configuration(&question)?;
        let device = answer.get(size_of::<ConfigHeader>()..).and_then(|config| config.get(fields));
        let device = device.and_then(|fields| fields.try_into().ok()).unwrap_or_default();
        let share = size_of_share(self.options.area_size, self.offer.queues.into());
        Limits::new(device, share).apply(bytes, offset);
        Ok(())
    }

    /// Asks the device the same. File descriptors go with it only where they belong: each other one would be a way
    /// round isolation-host.
    pub(super) fn pass_on(
        &mut self,
        request: Request,
        message: &mut Message,
    ) -> Result<Answer, RequestError> {
        if !negotiation::understands(self.offer.protocol, request) {
            return Err(RequestError::Unsupported);
        }
        let link = self.device.as_mut().ok_or(RequestError::NoDevice)?;
        let carries_fd = request == Request::SetDeviceStateFd;
        let fds = if carries_fd { vec![message.take_fd()?] } else { Vec::new() };
        match link.pass_on(request, &message.payload, fds) {
            Ok(Some(answer)) => {
                let reply = message.reply(&answer.payload[..]);
                let fd = answer.fds.into_iter().next().filter(|_| carries_fd);
                Ok(Answer::Reply(fd.into_iter().fold(reply, Message::with_fd)))
            }
            Ok(None) => Ok(Answer::Done),
            Err(error @ LinkError::Refused { .. }) => Err(error.into()),
            Err(error) => {
                self.lose_device(&WithCauses(&error).to_string());
                Err(error.into())
            }
        }
    }
}
