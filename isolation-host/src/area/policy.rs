//! What happens to bytes that requests leave in the isolated area.

use std::time::Duration;

use clap::ValueEnum;

/// How long bytes that the guest has written stay in the area with [`Scrub::Auto`].
pub const SCRUB_INTERVAL: Duration = Duration::from_millis(100);

/// When bytes that the device has read are zeroed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Scrub {
    /// Within a tenth of a second after the guest has the request back, unless the next request
    /// overwrites the bytes earlier.
    #[default]
    Auto,
    /// Before the guest has the request back.
    Always,
    /// When the memory of the bytes is used for something else, or the queue is stopped.
    Never,
}

/// When memory that the device writes is zeroed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Zero {
    /// If the memory may hold bytes that the guest has written.
    Auto,
    /// Also if the memory may hold bytes that a device has written for an earlier request.
    #[default]
    Always,
}

/// What happens to bytes that requests leave in the isolated area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The policy for memory that the device reads.
    pub scrub: Scrub,
    /// The policy for memory that the device writes.
    pub zero: Zero,
}
