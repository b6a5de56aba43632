//! The mode of a take.

/// What a sink or a source has to do for its take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Open, and take the first audio, but do not play or record yet.
    Ready,
    /// Play or record.
    Run,
    /// Take no more audio.
    Pause,
    /// Play all audio, and finish.
    Drain,
    /// Drop the audio that the sink has not taken yet, and finish.
    Cut,
}

impl Mode {
    const ALL: [Self; 5] = [Self::Ready, Self::Run, Self::Pause, Self::Drain, Self::Cut];

    /// Returns the mode with a code. An unknown code ends the take.
    pub(super) fn from_code(code: u64) -> Self {
        Self::ALL.into_iter().find(|mode| mode.code() == code).unwrap_or(Self::Cut)
    }

    pub(super) const fn code(self) -> u64 {
        self as u64
    }

    /// Returns whether the take ends.
    pub const fn ends(self) -> bool {
        matches!(self, Self::Drain | Self::Cut)
    }
}
