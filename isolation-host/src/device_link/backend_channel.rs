//! The back-end channel, on which the device sends requests of its own.
//!
//! Most of these requests would give the device file descriptors or memory of the VMM. The device
//! may report that its configuration has changed; every other request is refused.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::protocol::{BackendRequest, Channel, Message, ReceiveError};

/// The largest number of requests that one call of [`BackendChannel::serve`] handles.
const BATCH: usize = 16;

/// This process's end of the back-end channel.
#[derive(Debug)]
pub(super) struct BackendChannel {
    channel: Channel,
    /// Whether the device has reported a change since the last `take_config_change`.
    config_changed: bool,
    /// Whether a refused request was logged. Later ones are not.
    warned: bool,
}

impl BackendChannel {
    /// Makes a channel. Returns this process's end and the device's end.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (own, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self { channel: Channel::new(own), config_changed: false, warned: false }, other))
    }

    /// Receives requests and replies to them.
    pub(super) fn serve(&mut self) -> Result<(), ReceiveError> {
        for _ in 0..BATCH {
            let Some(message) = self.channel.receive()? else { break };
            let granted = BackendRequest::try_from(message.request) == Ok(BackendRequest::ConfigChangeMsg);
            self.config_changed |= granted;
            if !granted && !std::mem::replace(&mut self.warned, true) {
                tracing::warn!("refusing message {} on the device's back-end channel", message.request);
            }
            self.reply(&message, granted)?;
        }
        Ok(())
    }

    fn reply(&self, message: &Message, granted: bool) -> Result<(), ReceiveError> {
        if message.needs_reply() && !message.is_reply() {
            // A device that does not read its replies loses the channel.
            self.channel.send(&message.reply(&u64::from(!granted))).map_err(|_| ReceiveError::Closed)?;
        }
        Ok(())
    }

    /// Returns whether the configuration has changed since the last call.
    pub(super) fn take_config_change(&mut self) -> bool {
        std::mem::take(&mut self.config_changed)
    }
}

impl AsFd for BackendChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Sends a request as the device. Returns the reply, and whether the configuration has changed.
    fn reply_to(request: u32) -> (Option<u64>, bool) {
        let (mut channel, other) = BackendChannel::new().unwrap();
        let mut device = Channel::new(other);
        let fd = File::open("/dev/null").unwrap().into();
        device.send(&Message::request(request, &[0u8; 16]).with_fd(fd).needing_reply()).unwrap();
        channel.serve().unwrap();
        let reply = device.receive().unwrap().and_then(|message| message.body().ok());
        (reply, channel.take_config_change())
    }

    #[test]
    fn only_a_change_of_the_configuration_is_accepted() {
        assert_eq!(reply_to(BackendRequest::ConfigChangeMsg as u32), (Some(0), true));
        for request in (0..20).filter(|request| *request != BackendRequest::ConfigChangeMsg as u32) {
            assert_eq!(reply_to(request), (Some(1), false), "{request}");
        }
    }

    #[test]
    fn changes_are_received_in_batches_and_merged_into_one() {
        let (mut channel, other) = BackendChannel::new().unwrap();
        let device = Channel::new(other);
        let message = Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
        (0..2 * BATCH).for_each(|_| device.send(&message).unwrap());
        channel.serve().unwrap();
        assert!(channel.take_config_change() && !channel.take_config_change());
        channel.serve().unwrap();
        assert!(channel.take_config_change());
        assert!(channel.channel.receive().unwrap().is_none());
    }
}
