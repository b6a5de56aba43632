//! The audio that a guest has given.

use std::time::Duration;

/// The audio that the guest has given, in time since PREPARE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// The end of the next message to complete, if there is one.
    pub(super) due: Option<Duration>,
    /// The end of all audio.
    pub(super) end: Duration,
}
