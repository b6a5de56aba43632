//! The life cycle of a PCM stream.

use crate::pcm::Params;

/// A stream as its guest knows it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) direction: Direction,
    pub(crate) state: State,
    /// What the guest chose last.
    pub(crate) params: Option<Params>,
}

impl Stream {
    /// A stream that nothing has been asked of.
    pub(crate) const fn new(direction: Direction) -> Self {
        Self { direction, state: State::Initial, params: None }
    }
}

/// Which way audio goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The guest plays.
    Output,
    /// The guest records.
    Input,
}

/// What a guest can ask of a stream, besides setting its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    SetParams,
    Prepare,
    Start,
    Stop,
    Release,
}

/// Where a stream stands: the last command that it accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// None since the device was reset.
    Initial,
    Configured,
    Prepared,
    Running,
    Stopped,
    Released,
}

impl State {
    /// The state that `command` leads to, if it is allowed now.
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

    /// Whether the stream takes I/O messages.
    ///
    /// Also before it starts, for the guest to fill the buffer in advance, and after it stops, because the
    /// guest may have sent the message before it knew.
    pub(crate) const fn takes_messages(self) -> bool {
        matches!(self, Self::Prepared | Self::Running | Self::Stopped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Command::{Prepare, Release, SetParams, Start, Stop};
    use State::{Configured, Initial, Prepared, Released, Running, Stopped};

    #[test]
    fn each_command_is_allowed_exactly_where_the_standard_says() {
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
    fn messages_are_taken_from_prepare_to_release() {
        let taking = [Initial, Configured, Prepared, Running, Stopped, Released]
            .map(|state| (state, state.takes_messages()));
        let expected = [
            (Initial, false),
            (Configured, false),
            (Prepared, true),
            (Running, true),
            (Stopped, true),
            (Released, false),
        ];
        assert_eq!(taking, expected);
    }
}
