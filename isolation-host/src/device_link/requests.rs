//! What the device asks of its own accord, on a channel of its own.
//!
//! Most of it would give it something of the VMM's: memory, file descriptors, a way round isolation-host. It may say
//! that its configuration has changed, and nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use crate::protocol::{BackendRequest, Channel, Message, ReceiveError};

/// How many messages are heard before anything else gets a turn.
const BATCH: usize = 16;

/// The end of the channel that isolation-host keeps.
#[derive(Debug)]
pub(super) struct DeviceRequests {
    channel: Channel,
    /// The device has said that its configuration has changed, and nobody has been told yet.
    config_changed: bool,
    /// It was said already that the device asks what it may not.
    warned: bool,
}

impl DeviceRequests {
    /// A channel, and the device's end of it.
    pub(super) fn new() -> io::Result<(Self, OwnedFd)> {
        let (own, other) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        Ok((Self { channel: Channel::new(own), config_changed: false, warned: false }, other))
    }

    /// Hears what has come, and answers it. However often a change is told, it is one.
    pub(super) fn hear(&mut self) -> Result<(), ReceiveError> {
        for _ in 0..BATCH {
            let Some(message) = self.channel.receive()? else { break };
            let granted = BackendRequest::try_from(message.request) == Ok(BackendRequest::ConfigChangeMsg);
            self.config_changed |= granted;
            if !granted && !std::mem::replace(&mut self.warned, true) {
                tracing::warn!(
                    "the device asks what it may not (message {} on its channel)",
                    message.request
                );
            }
            self.answer(&message, granted)?;
        }
        Ok(())
    }

    fn answer(&self, message: &Message, granted: bool) -> Result<(), ReceiveError> {
        if message.needs_reply() && !message.is_reply() {
            // One that does not read its answers does not need them.
            self.channel.send(&message.reply(&u64::from(!granted))).map_err(|_| ReceiveError::Closed)?;
        }
        Ok(())
    }

    /// Whether the configuration has changed since this was asked last.
    pub(super) fn take_config_change(&mut self) -> bool {
        std::mem::take(&mut self.config_changed)
    }
}

impl AsFd for DeviceRequests {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// What a device that sends this is answered, and whether its configuration has changed then.
    fn answered(request: u32) -> (Option<u64>, bool) {
        let (mut requests, other) = DeviceRequests::new().unwrap();
        let mut device = Channel::new(other);
        let fd = File::open("/dev/null").unwrap().into();
        device.send(&Message::request(request, &[0u8; 16]).with_fd(fd).needing_reply()).unwrap();
        requests.hear().unwrap();
        let answer = device.receive().unwrap().and_then(|reply| reply.body().ok());
        (answer, requests.take_config_change())
    }

    #[test]
    fn a_device_may_say_that_its_configuration_has_changed_and_nothing_else() {
        assert_eq!(answered(BackendRequest::ConfigChangeMsg as u32), (Some(0), true));
        for request in (0..20).filter(|request| *request != BackendRequest::ConfigChangeMsg as u32) {
            assert_eq!(answered(request), (Some(1), false), "{request}");
        }
    }

    #[test]
    fn a_flood_of_changes_is_one_change_and_is_heard_bit_by_bit() {
        let (mut requests, other) = DeviceRequests::new().unwrap();
        let device = Channel::new(other);
        let message = Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
        (0..2 * BATCH).for_each(|_| device.send(&message).unwrap());
        requests.hear().unwrap();
        assert!(requests.take_config_change() && !requests.take_config_change());
        requests.hear().unwrap();
        assert!(requests.take_config_change());
        assert!(requests.channel.receive().unwrap().is_none());
    }
}
