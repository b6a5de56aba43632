//! The position of a stream: the clock that completions follow.
//!
//! A driver learns the progress of its audio from the completion of messages. If no message is
//! completed for the time of a buffer (at least a tenth of a second), Linux gives up. If messages
//! are completed in bursts, the position that the driver reports jumps. A host sink causes both,
//! because it can open slowly, stall and disappear. Completions therefore follow the position that
//! this module computes. The position follows the sink, but stays within [`SLACK`] of a reference
//! that moves evenly. The same applies to a source.
//!
//! ```text
//!      reference − SLACK      reference      reference + SLACK
//!  ────────────┼──────────────────┼──────────────────┼──────────▶ time played
//!              └───── the position is in here ───────┘
//!                at the sink's position, or at the nearer end
//! ```
//!
//! The reference itself is steered towards the sink, by at most a tenth of the time that passes.
//! The position therefore permanently follows a sink whose clock is slightly fast or slow, and a
//! delay of a tenth of a second disappears within two seconds.
//!
//! A late update does not move the position by all of the time that has passed. If the guest's
//! whole buffer were returned at once, Linux would see no progress, because its position in the
//! buffer would be the same. Time in which this process did not run does not count as time played:
//! the stream loses the time, not the audio.

use std::time::{Duration, Instant};

use crate::pcm::Params;
use crate::stream::given::Given;

/// The largest distance between the position and the reference.
pub(crate) const SLACK: Duration = Duration::from_millis(20);

/// The longest time for which messages may wait in the queue without a notification.
pub(super) const MAX_UNNOTIFIED: Duration = Duration::from_millis(40);

/// The largest correction of the reference, as a part of the time that passes.
const MAX_STEERING: f64 = 0.1;

/// The longest time without progress of the sink that counts when the reference is corrected.
const MAX_STEERED: Duration = Duration::from_millis(100);

/// How late an update may be before the rest of the time is lost.
const MAX_LATENESS: Duration = Duration::from_millis(100);

/// How much faster than time the position may move to make up for a late update.
const CATCH_UP: u32 = 2;

/// The position of a stream, in time played since PREPARE.
#[derive(Debug)]
pub(super) struct Pacer {
    /// When the position was last updated; `None` while the stream is stopped.
    last: Option<Instant>,
    reference: Duration,
    position: Duration,
    /// The position of the sink at the last update.
    heard: Option<Duration>,
    /// The time since the sink's position last changed, at most [`MAX_STEERED`].
    unsteered: Duration,
    /// The largest distance by which an update moves the position.
    max_step: Duration,
}

impl Pacer {
    /// Creates a pacer for a guest with these parameters.
    pub(super) fn new(params: &Params) -> Self {
        let Params { buffer_bytes, period_bytes, .. } = *params;
        let rest = buffer_bytes.saturating_sub(period_bytes);
        // A buffer of one period can only be returned as a whole.
        let max_step = params.duration(params.frames(if rest == 0 { buffer_bytes } else { rest }.into()));
        Self {
            last: None,
            reference: Duration::ZERO,
            position: Duration::ZERO,
            heard: None,
            unsteered: Duration::ZERO,
            max_step,
        }
    }

    /// Lets the position move from `now` on.
    pub(super) fn start(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Stops the position.
    pub(super) fn stop(&mut self) {
        self.last = None;
    }

    /// Returns whether the position moves.
    pub(super) const fn runs(&self) -> bool {
        self.last.is_some()
    }

    /// Returns the position at the last update.
    pub(super) const fn position(&self) -> Duration {
        self.position
    }

    /// Updates the position to `now`, and returns it.
    ///
    /// `heard` is the position of the sink, if the sink plays. The position stops at the end of the
    /// audio that the guest has given, and continues from there after an underrun.
    pub(super) fn advance(&mut self, now: Instant, heard: Option<Duration>, given: Given) -> Duration {
        let Some(last) = self.last else { return self.position };
        self.last = Some(now);
        let expected = given.due.map_or(Duration::ZERO, |due| due.saturating_sub(self.position));
        let passed = now.saturating_duration_since(last).min(expected + MAX_LATENESS);
        self.reference += passed;
        self.steer(heard, passed);
        let floor = self.reference.saturating_sub(SLACK);
        let target = heard.map_or(floor, |heard| heard.clamp(floor, self.reference + SLACK)).min(given.end);
        let step = (passed * CATCH_UP).min(self.max_step);
        self.position = self.position.max(target.min(self.position + step));
        // Once all audio is played, the reference stops until there is more audio.
        self.reference =
            if self.position == given.end { given.end } else { self.reference.min(given.end + SLACK) };
        self.position
    }

    /// Returns up to where time moves the position in the next update, however late the update is.
    pub(super) fn limit(&self, given: Given) -> Duration {
        let due = given.due.map_or(self.position, |due| due.max(self.position));
        (due + MAX_LATENESS).min(given.end.max(self.position))
    }

    /// Moves the reference to the position when the position starts to follow a source. The source
    /// then has the full [`SLACK`] until its first audio arrives.
    pub(super) fn rebase(&mut self) {
        self.reference = self.position;
    }

    /// Moves the position to `end`, if it is not past `end`. Returns how far it has moved.
    pub(super) fn skip_to(&mut self, end: Duration) -> Duration {
        let skipped = end.saturating_sub(self.position);
        self.position += skipped;
        self.reference = self.reference.max(self.position);
        skipped
    }

    /// Moves the reference towards the sink's position, whenever that position has changed.
    ///
    /// A sink that stalls is not followed: the position moves as if the sink played.
    fn steer(&mut self, heard: Option<Duration>, passed: Duration) {
        let since = if self.heard.is_some() { self.unsteered } else { Duration::ZERO };
        let Some(towards) = heard.filter(|_| heard != self.heard) else {
            self.unsteered = (since + passed).min(MAX_STEERED);
            self.heard = heard;
            return;
        };
        (self.heard, self.unsteered) = (heard, Duration::ZERO);
        let distance = towards.abs_diff(self.reference);
        let part = distance.as_secs_f64().min(MAX_STEERING);
        let correction = (since + passed).mul_f64(part).min(distance);
        if towards >= self.reference {
            self.reference += correction;
        } else {
            self.reference = self.reference.saturating_sub(correction);
        }
    }

    /// Returns the time until the position reaches `end` if a source delivers no more audio; `None`
    /// if the position is stopped.
    ///
    /// The position follows the source in steps. Between the steps, the position need not be looked
    /// at.
    pub(super) fn time_until_at_most(&self, end: Duration) -> Option<Duration> {
        let delivered = self.heard.is_some_and(|heard| heard >= end);
        let target = if delivered { self.reference + SLACK } else { self.reference.saturating_sub(SLACK) };
        let fastest = end.saturating_sub(self.position) / CATCH_UP;
        self.last.map(|_| end.saturating_sub(target).max(fastest))
    }

    /// Returns the estimated time until the position reaches `end`; `None` if it is stopped.
    pub(super) fn time_until(&self, end: Duration) -> Option<Duration> {
        self.last.map(|_| end.saturating_sub(self.position))
    }
}

#[cfg(test)]
mod tests;
