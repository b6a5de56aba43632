//! How far the guest has played, as the card publishes it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fields::Field;
use super::shared_area::SharedArea;
use crate::pcm::Params;

/// The guest's position, and when the position was computed.
///
/// The card computes the position whenever its event loop wakes, which may be only once a period.
/// In between, the audio process computes how far the guest has played since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Played {
    /// Number of frames that the guest considers played.
    pub frames: u64,
    /// Up to where time moves `frames` until the card computes `frames` again, however late.
    pub limit: u64,
    /// When `frames` was computed, in nanoseconds of CLOCK_MONOTONIC.
    pub sampled_at: u64,
}

impl Played {
    /// Returns the guest's position at the time `now`, in nanoseconds of CLOCK_MONOTONIC, if the
    /// guest plays at the nominal rate.
    ///
    /// The result is at most the limit, because a card that is held up does not count all of the
    /// time as played.
    pub(crate) fn frames_at(&self, now: u64, params: &Params) -> u64 {
        let passed = params.frames_in(Duration::from_nanos(now.saturating_sub(self.sampled_at)));
        self.frames.max(self.frames.saturating_add(passed).min(self.limit))
    }

    /// Makes the position visible to the audio process.
    pub(super) fn write(self, area: &SharedArea) {
        area.set(Field::PlayedSampledAt, self.sampled_at);
        area.set(Field::PlayedLimit, self.limit);
        // Pairs with the load in `read`: a reader that sees these frames sees their time and limit,
        // or later ones. With later ones, the position is too short until the next `read`.
        area.word(Field::Played).store(self.frames, Ordering::Release);
    }

    /// Reads the position.
    pub(super) fn read(area: &SharedArea) -> Self {
        // Pairs with the store of `Field::Played` in `write`.
        let frames = area.word(Field::Played).load(Ordering::Acquire);
        Self { frames, limit: area.get(Field::PlayedLimit), sampled_at: area.get(Field::PlayedSampledAt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::u8_mono;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let area = SharedArea::create(4).unwrap();
        assert_eq!(Played::read(&area), Played::default());
        let played = Played { frames: 480, limit: 490, sampled_at: 7 };
        played.write(&area);
        assert_eq!(Played::read(&area), played);
    }

    #[test]
    fn the_position_moves_with_time_up_to_the_limit() {
        let (params, ms) = (u8_mono(16_000, 4_000), 1_000_000);
        let played = Played { frames: 100, limit: 4_100, sampled_at: 50 * ms };
        for (now, frames) in [(0, 100), (50, 100), (51, 108), (550, 4_100), (551, 4_100), (1 << 40, 4_100)] {
            assert_eq!(played.frames_at(now * ms, &params), frames, "{now} ms");
        }
        assert_eq!(Played { limit: 0, ..played }.frames_at(550 * ms, &params), 100);
        let last = Played { frames: u64::MAX, limit: u64::MAX, ..played };
        assert_eq!(last.frames_at(u64::MAX, &params), u64::MAX);
    }
}
