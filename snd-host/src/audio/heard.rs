//! What is heard, as the card computes it from what the audio process has reported.

use std::time::Duration;

use crate::pcm::Params;
use crate::wire::{PlaybackWriter, SinkProgress};

/// How long a sink is assumed to play on without a report, in addition to `--latency`. The audio
/// process looks at the sink, and reports, at least once in each `--latency`.
const MAX_STALE: Duration = Duration::from_millis(100);

/// The progress of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The number of the frame that is about to be heard.
    pub(crate) frame: u64,
    /// Whether a sink is open.
    pub(crate) live: bool,
}

/// What the card knows of a take that plays, beside what is in the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CardView {
    pub(crate) params: Params,
    /// The value of `--latency`.
    pub(crate) latency: Duration,
    /// The number with which the current audio process opened the take; `None` if it has not.
    pub(crate) generation: Option<u64>,
    /// Number of frames that the guest considers played.
    pub(crate) played: u64,
}

impl CardView {
    /// Returns what is heard at the time `now`, in nanoseconds of CLOCK_MONOTONIC.
    pub(crate) fn heard(&self, ring: &PlaybackWriter, now: u64) -> Heard {
        match self.sink(ring) {
            SinkProgress::Opening => Heard { frame: ring.first(), live: false },
            SinkProgress::Lost => Heard { frame: ring.first().max(self.played), live: false },
            sink @ SinkProgress::Open { sampled_at, .. } => {
                let age = Duration::from_nanos(now.saturating_sub(sampled_at));
                let age = age.min(self.latency + MAX_STALE);
                let frame = sink.heard(&self.params, age).unwrap_or_default();
                Heard { frame: frame.min(ring.written()), live: true }
            }
        }
    }

    /// Returns what the sink does, as far as the current audio process has reported it.
    fn sink(&self, ring: &PlaybackWriter) -> SinkProgress {
        let Some(generation) = self.generation else { return SinkProgress::Lost };
        match ring.progress() {
            Some(progress) if progress.generation == generation => progress.sink,
            Some(_) if generation == 1 => SinkProgress::Opening,
            // A process that was stopped while it wrote its progress, or one that has not begun.
            Some(_) | None => SinkProgress::Lost,
        }
    }
}
