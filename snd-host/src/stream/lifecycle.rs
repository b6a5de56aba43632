//! The life cycle of a PCM stream.
//!
//! ```text
//!             (1)              (2)             (3)
//! Initial ─────────▶ Configured ─────▶ Prepared ─────▶ Running
//!                        ▲               │  ▲           │  ▲
//!                    (1) │           (5) │  │ (2)   (4) │  │ (3)
//!                        │               ▼  │           ▼  │
//!                        └──────────── Released ◀───── Stopped
//!                                               (5)
//! (1) SET_PARAMS, also from Configured and Prepared
//! (2) PREPARE, also from Prepared
//! (3) START   (4) STOP   (5) RELEASE
//! ```
//!
//! [`State::after`] makes all transitions.

use crate::pcm::Params;

/// The state of a stream that the guest sees.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) direction: Direction,
    pub(crate) state: State,
    /// The parameters that the guest set last.
    pub(crate) params: Option<Params>,
}

impl Stream {
    /// Creates a stream in the state after a reset.
    pub(crate) const fn new(direction: Direction) -> Self {
        Self { direction, state: State::Initial, params: None }
    }
}

/// The direction of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The guest plays.
    Output,
    /// The guest records.
    Input,
}

/// A request that changes the state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    SetParams,
    Prepare,
    Start,
    Stop,
    Release,
}

/// The state of a stream, named after the last command that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No command was accepted since the device was reset.
    Initial,
    Configured,
    Prepared,
    Running,
    Stopped,
    Released,
}

impl State {
    /// Returns the state after `command`; `None` if the command is not allowed in this state.
    ///
    /// VIRTIO 1.4, 5.14.6.6.1 "PCM Command Lifecycle".
    pub(crate) const fn after(self, command: Command) -> Option<Self> {
        use Command::{Prepare, Release, SetParams, Start, Stop};
        match (self, command) {
            (Self::Initial | Self::Configured | Self::Prepared | Self::Released, SetParams) => {
                Some(Self::Configured)
            }
            (Self::Configured | Self::Prepared | Self::Released, Prepare) => Some(Self::Prepared),
            (Self::Prepared | Self::Stopped, Start) => Some(Self::Running),
            (Self::Running, Stop) => Some(Self::Stopped),
            (Self::Prepared | Self::Stopped, Release) => Some(Self::Released),
            _ => None,
        }
    }

    /// Returns whether the stream accepts I/O messages.
    ///
    /// A prepared stream accepts messages, so that the driver can fill the buffer before START. A
    /// stopped stream accepts messages, because STOP may overtake a message.
    pub(crate) const fn accepts_messages(self) -> bool {
        matches!(self, Self::Prepared | Self::Running | Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Command::{Prepare, Release, SetParams, Start, Stop};
    use State::{Configured, Initial, Prepared, Released, Running, Stopped};

    #[test]
    fn commands_are_allowed_exactly_where_the_standard_says() {
        let allowed = [
            (Initial, &[SetParams][..]),
            (Configured, &[SetParams, Prepare]),
            (Prepared, &[SetParams, Prepare, Start, Release]),
            (Running, &[Stop]),
            (Stopped, &[Start, Release]),
            (Released, &[SetParams, Prepare]),
        ];
        for (state, commands) in allowed {
            for (command, then) in [
                (SetParams, Configured),
                (Prepare, Prepared),
                (Start, Running),
                (Stop, Stopped),
                (Release, Released),
            ] {
                let expected = commands.contains(&command).then_some(then);
                assert_eq!(state.after(command), expected, "{command:?} in {state:?}");
            }
        }
    }

    #[test]
    fn messages_are_accepted_from_prepare_to_release() {
        let accepting = [Initial, Configured, Prepared, Running, Stopped, Released]
            .map(|state| (state, state.accepts_messages()));
        let expected = [
            (Initial, false),
            (Configured, false),
            (Prepared, true),
            (Running, true),
            (Stopped, true),
            (Released, false),
        ];
        assert_eq!(accepting, expected);
    }
}
