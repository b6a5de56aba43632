//! The back-end channel, on which the device sends requests of its own.
//!
//! Most of these requests would give the device file descriptors or memory of the VMM. The device
//! may report that its configuration has changed; every other request is refused.

use crate::protocol::{BackendRequest, Message};

/// The state of the device's back-end channel.
#[derive(Debug, Default)]
pub struct BackendChannel {
    /// Whether the device has reported a change since the last `take_config_change`.
    config_changed: bool,
    /// Whether a refused request was logged. Later ones are not.
    warned: bool,
}

impl BackendChannel {
    /// Handles a request. Returns the reply, if the device wants one.
    pub fn receive(&mut self, message: &Message) -> Option<Message> {
        let granted = BackendRequest::try_from(message.request) == Ok(BackendRequest::ConfigChangeMsg);
        self.config_changed |= granted;
        if !granted && !std::mem::replace(&mut self.warned, true) {
            tracing::warn!("refusing message {} on the device's back-end channel", message.request);
        }
        let wanted = message.needs_reply() && !message.is_reply();
        wanted.then(|| message.reply(&u64::from(!granted)))
    }

    /// Returns whether the configuration has changed since the last call.
    pub const fn take_config_change(&mut self) -> bool {
        std::mem::replace(&mut self.config_changed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    /// Handles a request. Returns the reply, and whether the configuration has changed.
    fn reply_to(request: u32) -> (Option<u64>, bool) {
        let mut channel = BackendChannel::default();
        let fd = File::open("/dev/null").unwrap().into();
        let message = Message::request(request, &[0u8; 16]).with_fd(fd).needing_reply();
        let reply = channel.receive(&message).and_then(|message| message.body().ok());
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
    fn changes_are_merged_into_one_and_replies_are_not_answered() {
        let mut channel = BackendChannel::default();
        let message = Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
        assert!((0..32).all(|_| channel.receive(&message).is_none()));
        assert!(channel.take_config_change() && !channel.take_config_change());
        let reply = message.needing_reply().reply(&0u64);
        assert!(channel.receive(&reply).is_none());
    }
}
