//! What the VMM asks that means the same to the device: it is passed on.

use zerocopy::{FromBytes as _, IntoBytes as _};

use super::Host;
use super::requests::{Answer, RequestError};
use crate::area::size_of_share;
use crate::block_limits::{self, Limits};
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
        let (ConfigHeader { size, .. }, bytes) = message.body_and_rest()?;
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
        let mut answer = self.pass_on(request, message)?;
        if let Answer::Reply(reply) = &mut answer {
            self.limit_requests(&mut reply.payload)?;
            self.configuration = Some(reply.payload.clone());
        }
        Ok(answer)
    }

    /// Sees to it that a guest makes no larger requests than fit, in the answer to a question about the
    /// configuration.
    fn limit_requests(&mut self, payload: &mut [u8]) -> Result<(), RequestError> {
        let Ok((ConfigHeader { offset, size, .. }, bytes)) = ConfigHeader::mut_from_prefix(payload) else {
            return Ok(());
        };
        let fields = block_limits::FIELDS;
        let end = usize::try_from(u64::from(*offset) + u64::from(*size)).unwrap_or(usize::MAX);
        let offset = usize::try_from(*offset).unwrap_or(usize::MAX);
        if self.options.device_type != DeviceType::Blk || offset >= fields.end || end <= fields.start {
            return Ok(());
        }
        // From the beginning, because widespread devices take no notice of where a question begins.
        let header = ConfigHeader { offset: 0, size: u32::try_from(fields.end).unwrap_or(0), flags: 0 };
        let question = [header.as_bytes(), &[0; block_limits::FIELDS.end]].concat();
        let mut question = Message::request(Request::GetConfig, &question[..]);
        let Answer::Reply(reply) = self.pass_on(Request::GetConfig, &mut question)? else { return Ok(()) };
        let (_, device) = reply.body_and_rest::<ConfigHeader>()?;
        let device = device.get(fields).and_then(|fields| fields.try_into().ok()).unwrap_or_default();
        let share = size_of_share(self.options.area_size, self.offer.queues.into());
        Limits::new(device, share).apply(bytes, offset);
        Ok(())
    }

    /// Asks the device the same, with the file descriptors that came with it.
    pub(super) fn pass_on(
        &mut self,
        request: Request,
        message: &mut Message,
    ) -> Result<Answer, RequestError> {
        if !negotiation::understands(self.offer.protocol, request) {
            return Err(RequestError::Unsupported(request));
        }
        let link = self.device.as_mut().ok_or(RequestError::NoDevice)?;
        let fds = std::mem::take(&mut message.fds);
        match link.pass_on(request, &message.payload, fds) {
            Ok(Some(answer)) => {
                let reply = message.reply(&answer.payload[..]);
                Ok(Answer::Reply(answer.fds.into_iter().fold(reply, Message::with_fd)))
            }
            Ok(None) => Ok(Answer::Done),
            Err(error @ LinkError::Refused { .. }) => Err(error.into()),
            Err(error) => {
                let said = error.to_string();
                self.lose_device(&said);
                Err(error.into())
            }
        }
    }
}
