//! What the card has, as a guest finds it before it does anything.

use crate::spec::Config;
use crate::stream::{Direction, Stream};

/// What is fixed for as long as this process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Streams that play. They come first.
    pub(crate) outputs: u8,
    /// Streams that record.
    pub(crate) inputs: u8,
}

impl Layout {
    /// All streams, in the order of their numbers.
    pub(crate) fn streams(self) -> impl Iterator<Item = Stream> {
        let outputs = (0..self.outputs).map(|_| Direction::Output);
        outputs.chain((0..self.inputs).map(|_| Direction::Input)).map(Stream::new)
    }

    /// What the guest reads first.
    pub(crate) fn config(self) -> Config {
        Config {
            jacks: 0.into(),
            streams: (u32::from(self.outputs) + u32::from(self.inputs)).into(),
            chmaps: 0.into(),
            controls: 0.into(),
        }
    }
}
