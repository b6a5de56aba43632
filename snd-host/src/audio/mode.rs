//! The mode of a take.

/// What a sink or a source has to do for its take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Open, and take the first audio, but do not play or record yet.
    Ready,
    /// Play or record.
    Run,
    /// Take no more audio.
    Pause,
    /// Finish.
    End,
}
