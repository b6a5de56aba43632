//! When a sink is fed.
//!
//! A sink has at most `--latency` of audio, and is fed again when it has 3/8 of that. Each time
//! costs wake-ups. So the thread that feeds a sink sleeps in between, whether or not the guest
//! gives audio meanwhile. At half of the latency, many guests would just have given a period, or
//! just not.
//!
//! ```text
//!          now                3/8               3/4                latency
//!  ─────────┼──────────────────┼─────────────────┼──────────────────┼───▶ audio that the sink has
//!           └─ fed at once ────┴─────────────────┘                  │
//!                              └─ fed when it has come down to 3/8 ─┘
//! ```

use std::time::Duration;

use bytes::BytesMut;

use super::playback_buffer::PlaybackBuffer;
use crate::wire::Mode;

/// A sink that is open. No method waits for the sink.
pub trait Fed {
    /// Returns the audio that was pushed and not heard yet.
    fn ahead(&self) -> Ahead;

    /// Returns the duration of the audio that was pushed and not taken by the sink yet.
    fn queued(&self) -> Duration;

    /// Pushes whole frames. The first one has the number `first`.
    fn push(&mut self, first: u64, bytes: BytesMut);
}

/// The audio that a sink has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Its duration.
    pub duration: Duration,
    /// Whether the sink plays it, so that it becomes less.
    pub plays: bool,
}

/// How soon a sink is looked at that should play and does not yet.
const START_TICK: Duration = Duration::from_millis(10);

/// The least audio at which a sink is fed again, unless that is more than half of the latency.
const MIN_THRESHOLD: Duration = Duration::from_millis(8);

/// The shortest time after which a sink is looked at again.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// Feeds a sink, if it has less audio than it should have. `now` is the time in nanoseconds of
/// CLOCK_MONOTONIC.
///
/// Returns the time after which the sink has to be looked at again; `None` if only more audio or
/// another mode can change anything. At the end of a take, `None` says that the sink has been given
/// all audio.
pub fn feed(
    buffer: &mut PlaybackBuffer,
    sink: &mut impl Fed,
    latency: Duration,
    now: u64,
) -> Option<Duration> {
    if matches!(buffer.mode(), Mode::Pause | Mode::Cut) {
        return None;
    }
    let Ahead { duration: ahead, .. } = sink.ahead();
    if !buffer.is_empty() && ahead <= latency * 3 / 4 {
        // A sink that stalls does not take audio whose time has come. It is not given more.
        for (first, bytes) in buffer.next_pieces(latency, ahead, sink.queued(), now) {
            sink.push(first, bytes);
        }
    }
    let Ahead { duration: ahead, plays } = sink.ahead();
    if buffer.mode() == Mode::Ready || buffer.mode() == Mode::Drain && buffer.is_empty() {
        return None;
    }
    if !plays {
        return (!ahead.is_zero() || !buffer.is_empty()).then_some(START_TICK);
    }
    next_look(latency, ahead, buffer.is_empty())
}

/// Returns when a sink is looked at again that plays and has audio for the time `ahead`.
fn next_look(latency: Duration, ahead: Duration, is_empty: bool) -> Option<Duration> {
    let threshold = threshold(latency);
    let spare = ahead.saturating_sub(threshold);
    // A wake-up of its own is not worth a difference that is smaller than this.
    let tolerance = latency / 16;
    if spare > tolerance {
        Some(spare.max(MIN_WAIT))
    } else if !is_empty {
        // The sink does not take more now.
        Some((threshold / 2).max(MIN_WAIT))
    } else if ahead > tolerance {
        // The guest has given nothing in time. It may do so until the sink runs short.
        Some((ahead / 2).max(MIN_WAIT))
    } else {
        None
    }
}

/// Returns the amount of audio at which a sink is fed again.
fn threshold(latency: Duration) -> Duration {
    // A thread may wake some milliseconds late.
    (latency * 3 / 8).max(MIN_THRESHOLD.min(latency / 2))
}

/// Returns how much audio of a guest is enough for a sink.
pub(crate) fn low(latency: Duration) -> Duration {
    latency / 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::pcm::tests::s16_stereo;
    use crate::wire::{PlaybackReader, PlaybackWriter};

    const LATENCY: Duration = Duration::from_millis(40);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_sink_is_looked_at_when_most_of_its_audio_is_heard() {
        for (ahead, is_empty, look) in [
            (40, true, Some(25)),
            (40, false, Some(25)),
            (20, true, Some(5)),
            (16, true, Some(8)),
            (8, true, Some(4)),
            (2, true, None),
            (15, false, Some(7)),
        ] {
            assert_eq!(
                next_look(LATENCY, ms(ahead), is_empty).map(|look| look.as_millis()),
                look,
                "{ahead} {is_empty}"
            );
        }
    }

    /// A sink that plays, with the number of frames that it was given and has not played.
    struct Playing {
        ahead: u64,
        given: u64,
    }

    impl Fed for Playing {
        fn ahead(&self) -> Ahead {
            Ahead { duration: s16_stereo().duration(self.ahead), plays: true }
        }

        fn queued(&self) -> Duration {
            Duration::ZERO
        }

        fn push(&mut self, first: u64, bytes: BytesMut) {
            assert_eq!(first, self.given);
            let frames = s16_stereo().frames(bytes.len() as u64);
            (self.ahead, self.given) = (self.ahead + frames, self.given + frames);
        }
    }

    #[test]
    fn the_end_of_a_take_is_played_without_more_than_the_latency_in_the_sink() {
        let params = s16_stereo();
        let mut writer = PlaybackWriter::create(&params).unwrap();
        let reader = PlaybackReader::open(writer.file().try_clone().unwrap(), &params).unwrap();
        for _ in 0..100 {
            assert!(writer.write(params.period_bytes as usize, |part| {
                part.fill(7);
                true
            }));
        }
        writer.set_mode(Mode::Drain);
        let mut buffer = PlaybackBuffer::new(reader, &params, false);
        let mut sink = Playing { ahead: 0, given: 0 };
        while let Some(next) = feed(&mut buffer, &mut sink, LATENCY, 0) {
            assert!(params.duration(sink.ahead) <= LATENCY, "{}", sink.ahead);
            sink.ahead = sink.ahead.saturating_sub(params.frames_in(next));
        }
        assert_eq!((sink.given, buffer.dropped()), (writer.written(), 0));
    }

    proptest! {
        #[test]
        fn a_sink_is_looked_at_before_it_runs_short(
            latency in 10u64..500, ahead in 0u64..600, is_empty: bool
        ) {
            let (latency, ahead) = (ms(latency), ms(ahead));
            if let Some(wait) = next_look(latency, ahead, is_empty) {
                prop_assert!(wait >= MIN_WAIT);
                if ahead > threshold(latency) + latency / 16 {
                    prop_assert!(ahead - wait >= threshold(latency));
                }
            } else {
                // More audio wakes the thread.
                prop_assert!(is_empty && ahead <= latency / 16);
            }
        }
    }
}
