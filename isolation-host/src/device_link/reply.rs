//! Checks a device's reply.

use zerocopy::FromBytes;

use super::error::LinkError;
use crate::protocol::{Message, Request};

/// Returns the message if it is the reply to `request`.
pub(super) fn reply_to(request: Request, message: Message) -> Result<Message, LinkError> {
    if message.request == request as u32 && message.is_reply() {
        return Ok(message);
    }
    Err(LinkError::WrongReply { request, number: message.request })
}

/// Returns the payload of the reply to `request`.
pub(super) fn body<T: FromBytes>(request: Request, reply: &Message) -> Result<T, LinkError> {
    reply.body().map_err(|error| LinkError::MalformedReply { request, error })
}
