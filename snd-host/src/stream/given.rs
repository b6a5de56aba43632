//! What a guest has given.

use std::time::Duration;

/// The audio that the guest has given, in time since PREPARE.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    /// Where the next message to complete ends, if there is one.
    pub(super) due: Option<Duration>,
    /// Where all audio ends.
    pub(super) end: Duration,
}
