//! Combinations of features: each device is driven with every combination.

use core::fmt;

use ring_core::Features;

/// A choice of the features that change how a queue works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Combination {
    /// Each bit stands for one of [`CHOICES`].
    number: u32,
}

const CHOICES: [Features; 3] = [Features::INDIRECT_DESC, Features::EVENT_IDX, Features::RING_PACKED];

impl Combination {
    /// Returns all eight combinations.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..1 << CHOICES.len()).map(|number| Self { number })
    }

    /// Returns the features to negotiate for the rings.
    pub(crate) fn features(self) -> Features {
        let chosen = (0..).zip(CHOICES).filter(|(bit, _)| self.number & 1 << bit != 0);
        chosen.fold(Features::VERSION_1, |features, (_, choice)| features | choice)
    }

    /// Returns whether the rings are packed.
    pub(crate) fn is_packed(self) -> bool {
        self.features().contains(Features::RING_PACKED)
    }

    /// Returns whether buffers use indirect tables.
    pub(crate) fn is_indirect(self) -> bool {
        self.features().contains(Features::INDIRECT_DESC)
    }
}

/// Has the form of the report: format, `event_idx` or `flags`, `indirect` or `direct`.
impl fmt::Display for Combination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.is_packed() { "packed" } else { "split" };
        let events = if self.features().contains(Features::EVENT_IDX) { "event_idx" } else { "flags" };
        let tables = if self.is_indirect() { "indirect" } else { "direct" };
        write!(f, "{format} {events} {tables}")
    }
}
