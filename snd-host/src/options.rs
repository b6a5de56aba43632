//! The choices of the command line that other modules need.

use std::str::FromStr;

use clap::ValueEnum;

use crate::limits::MAX_STREAMS;

/// The virtqueue formats that a driver is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RingFormat {
    /// Packed, or split for drivers that do not support packed queues.
    Auto,
    /// Split only.
    Split,
    /// Packed only: a driver that does not support packed queues has no sound.
    Packed,
}

/// The number of streams in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streams {
    /// Number of playback streams.
    pub outputs: u8,
    /// Number of capture streams.
    pub inputs: u8,
}

/// The error for a value of `--streams` that is out of range or not a number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is neither a number from 1 to {MAX_STREAMS} nor two numbers of at most {MAX_STREAMS} such as 2,1"
)]
pub struct StreamsError(String);

impl FromStr for Streams {
    type Err = StreamsError;

    fn from_str(text: &str) -> Result<Self, StreamsError> {
        let (outputs, inputs) = text.split_once(',').unwrap_or((text, text));
        match (outputs.trim().parse(), inputs.trim().parse()) {
            (Ok(outputs @ 0..=MAX_STREAMS), Ok(inputs @ 0..=MAX_STREAMS)) if outputs + inputs > 0 => {
                Ok(Self { outputs, inputs })
            }
            _ => Err(StreamsError(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_one_number_or_two() {
        let streams = |text: &str| text.parse().ok().map(|Streams { outputs, inputs }| (outputs, inputs));
        assert_eq!(streams("1"), Some((1, 1)));
        assert_eq!(streams("4,0"), Some((4, 0)));
        for bad in ["", "0", "0,0", "5", "1,5", "-1", "1,2,3", "x"] {
            assert_eq!(streams(bad), None, "{bad}");
        }
    }
}
