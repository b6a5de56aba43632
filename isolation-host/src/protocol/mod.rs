//! The vhost-user protocol, as bytes and file descriptors on a socket, for both of its sides.
//!
//! isolation-host is the back-end of the VMM and the front-end of the device, so it needs every message both
//! ways. This module knows the shape of messages and nothing of what they mean: [`Channel`] sends and receives
//! [`Message`]s, [`Request`] names them, and [`payload`] has the structures they carry.
//!
//! Nothing that a peer sends is fatal but a message whose length cannot be believed, because nothing after it
//! could be made out. What to do with a request that nobody knows is the receiver's to decide.

mod channel;
pub mod features;
mod message;
pub mod payload;
mod request;

pub use channel::{Channel, ReceiveError, SendError};
pub use message::{MAX_FDS, MAX_PAYLOAD, Message, MessageError};
pub use request::{BackendRequest, Request};
