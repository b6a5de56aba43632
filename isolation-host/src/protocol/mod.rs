//! The vhost-user protocol: messages and file descriptors on a socket, for both sides.
//!
//! isolation-host is the back-end of the VMM and the front-end of the device, so it sends and
//! receives messages of both kinds. This module has the format of messages, not their meaning:
//! [`Channel`] sends and receives [`Message`]s, [`Request`] has their numbers, and [`payload`] the
//! structures that they carry.
//!
//! Only a message that announces too long a payload is fatal, because the start of the next message
//! is then unknown. Unknown requests are left to the receiver.

mod channel;
pub mod features;
mod message;
pub mod payload;
mod request;

pub use channel::{Channel, ReceiveError, SendError};
pub use message::{MAX_FDS, MAX_PAYLOAD, Message, MessageError};
pub use request::{BackendRequest, Request};
