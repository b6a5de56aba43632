//! When a sink is fed.
//!
//! A sink has at most `--latency` of audio, and is fed again before it has less than half of that.
//! Each time costs wake-ups, so the sink is fed when the event loop wakes anyway, unless the event
//! loop would wake too late.
//!
//! ```text
//!          now                low               3/4                latency
//!  ─────────┼──────────────────┼─────────────────┼──────────────────┼───▶ audio that the sink has
//!           └─ fed at once ────┘                 │
//!                              └─ fed, unless ───┘
//!                                 the event loop wakes in time
//! ```

use std::time::Duration;

use bytes::BytesMut;

use super::mode::Mode;
use super::playback_buffer::PlaybackBuffer;

/// A sink that is open. No method waits for the sink.
pub(crate) trait Fed {
    /// Returns the duration of the audio that was pushed and not heard yet.
    fn ahead(&self) -> Duration;

    /// Returns the duration of the audio that was pushed and not taken by the sink yet.
    fn queued(&self) -> Duration;

    /// Pushes whole frames. The first one has the number `first`.
    fn push(&mut self, first: u64, bytes: BytesMut);
}

/// Feeds a sink if the sink would run short before the event loop wakes in `next_wake`.
///
/// Returns the time until the sink has to be fed again, if the event loop has to wake for that.
pub(crate) fn feed(
    buffer: &mut PlaybackBuffer,
    sink: &mut impl Fed,
    latency: Duration,
    next_wake: Option<Duration>,
) -> Option<Duration> {
    if !matches!(buffer.mode, Mode::Ready | Mode::Run) || buffer.is_empty() {
        return None;
    }
    let mut feeding = Feeding::of(latency, sink.ahead(), next_wake);
    if feeding == Feeding::Now {
        // A sink that stalls does not take audio whose time has come. It is not given more.
        for (first, bytes) in buffer.next_pieces(latency, sink.ahead(), sink.queued()) {
            sink.push(first, bytes);
        }
        feeding = Feeding::of(latency, sink.ahead(), next_wake);
    }
    match feeding {
        Feeding::In(time) if buffer.mode == Mode::Run && !buffer.is_empty() => Some(time),
        // More audio wakes the event loop.
        Feeding::Now | Feeding::In(_) | Feeding::AtNextWake => None,
    }
}

/// When a sink has to be fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feeding {
    Now,
    /// In this time.
    In(Duration),
    /// When the event loop wakes the next time.
    AtNextWake,
}

/// Returns the amount of audio that a sink should not fall below.
pub(crate) fn low(latency: Duration) -> Duration {
    latency / 2
}

impl Feeding {
    /// Decides for a sink that has audio for the time `ahead`, if the event loop wakes in
    /// `next_wake`.
    fn of(latency: Duration, ahead: Duration, next_wake: Option<Duration>) -> Self {
        let spare = ahead.saturating_sub(low(latency));
        // A wake-up of its own is not worth a difference that is smaller than this.
        let tolerance = latency / 16;
        if spare <= tolerance {
            Self::Now
        } else if next_wake.is_some_and(|next_wake| next_wake <= spare + tolerance) {
            Self::AtNextWake
        } else if ahead <= latency * 3 / 4 {
            Self::Now
        } else {
            Self::In(spare)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LATENCY: Duration = Duration::from_millis(40);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_sink_is_fed_when_the_event_loop_wakes_anyway() {
        for (ahead, next_wake, feeding) in [
            (30, Some(10), Feeding::AtNextWake),
            (20, Some(10), Feeding::Now),
            (23, Some(10), Feeding::Now),
            (33, Some(10), Feeding::AtNextWake),
            (37, Some(500), Feeding::In(ms(17))),
            (30, None, Feeding::Now),
            (0, None, Feeding::Now),
        ] {
            assert_eq!(Feeding::of(LATENCY, ms(ahead), next_wake.map(ms)), feeding, "{ahead} {next_wake:?}");
        }
    }

    proptest! {
        #[test]
        fn a_sink_never_falls_far_below_half_of_its_latency(
            latency in 10u64..500, ahead in 0u64..600, next_wake in prop::option::of(0u64..1000)
        ) {
            let (latency, ahead, next_wake) = (ms(latency), ms(ahead), next_wake.map(ms));
            let wait = match Feeding::of(latency, ahead, next_wake) {
                Feeding::Now => Duration::ZERO,
                Feeding::In(wait) => wait,
                Feeding::AtNextWake => next_wake.unwrap(),
            };
            prop_assert!(ahead.saturating_sub(wait) >= ahead.min(low(latency) - latency / 16));
        }
    }
}
