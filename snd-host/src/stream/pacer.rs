//! The position of a stream: the clock that completions follow.
//!
//! A driver learns the progress of its audio from the completion of messages. If no message is
//! completed for the time of a buffer (at least a tenth of a second), Linux gives up. If messages
//! are completed in bursts, the position that the driver reports jumps. A host sink causes both: it
//! opens slowly, stalls and disappears. Completions therefore follow the position that this module
//! computes. The position follows the sink, but stays within [`SLACK`] of a reference that moves
//! evenly. The same applies to a source.
//!
//! ```text
//!      reference − SLACK      reference      reference + SLACK
//!  ────────────┼──────────────────┼──────────────────┼──────────▶ time played
//!              └───── the position is in here ───────┘
//!                at the sink's position, or at the nearer end
//! ```
//!
//! The reference itself is steered towards the sink, by at most a tenth of the time that passes.
//! The position therefore follows a sink whose clock is slightly fast or slow, permanently, and a
//! delay of a tenth of a second disappears within two seconds.
//!
//! An update that comes late does not move the position by all of the time that has passed. If the
//! guest's whole buffer were returned at once, Linux would see no progress, because its position in
//! the buffer would be the same. Time in which this process did not run does not count as time
//! played: the stream loses the time, not the audio.

use std::time::{Duration, Instant};

use super::given::Given;
use crate::pcm::Params;

/// The largest distance between the position and the reference.
pub(crate) const SLACK: Duration = Duration::from_millis(20);

/// The largest part of the time that passes by which the reference is corrected.
const MAX_STEERING: f64 = 0.1;

/// The longest time without progress of the sink that counts when the reference is corrected.
const MAX_STEERED: Duration = Duration::from_millis(100);

/// How late an update may be before the rest of the time is lost.
const MAX_LATENESS: Duration = Duration::from_millis(100);

/// How much faster than time the position may move to make up for an update that came late.
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
    /// The most that an update moves the position.
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
        // Once all audio is played, the reference stops until there is more.
        self.reference =
            if self.position == given.end { given.end } else { self.reference.min(given.end + SLACK) };
        self.position
    }

    /// Moves the reference to the position, when a source starts to be followed. The source then
    /// has the full [`SLACK`] until its first audio arrives.
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
        self.unsteered = (since + passed).min(MAX_STEERED);
        let Some(towards) = heard.filter(|_| heard != self.heard) else {
            self.heard = heard;
            return;
        };
        self.heard = heard;
        let distance = towards.abs_diff(self.reference);
        let part = distance.as_secs_f64().min(MAX_STEERING);
        let correction = std::mem::take(&mut self.unsteered).mul_f64(part);
        if towards >= self.reference {
            self.reference += correction;
        } else {
            self.reference = self.reference.saturating_sub(correction);
        }
    }

    /// Returns the estimated time until the position reaches `end`; `None` if it is stopped.
    pub(super) fn time_until(&self, end: Duration) -> Option<Duration> {
        self.last.map(|_| end.saturating_sub(self.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::s16_stereo;

    const ENDLESS: Given = until(Duration::from_secs(1 << 30));

    /// One message that ends at `end`.
    const fn until(end: Duration) -> Given {
        Given { due: Some(end), end }
    }

    /// Returns a pacer whose steps a buffer of 10 s does not limit.
    fn pacer() -> Pacer {
        Pacer::new(&Params { buffer_bytes: 1_920_000, ..s16_stereo() })
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Runs a pacer for `steps` steps of 1 ms against a sink.
    fn run(
        pacer: &mut Pacer,
        from: Instant,
        steps: u64,
        sink: impl Fn(u64) -> Option<Duration>,
    ) -> (Instant, Vec<Duration>) {
        let positions = (1..=steps).map(|step| pacer.advance(from + ms(step), sink(step), ENDLESS)).collect();
        (from + ms(steps), positions)
    }

    #[test]
    fn a_sink_that_keeps_time_is_followed_exactly() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| ms(step).saturating_sub(ms(3));
        let (_, positions) = run(&mut pacer, start, 1000, |step| Some(sink(step)));
        assert!(positions.iter().zip(1..).all(|(position, step)| *position == sink(step)));
    }

    #[test]
    fn without_a_sink_the_position_is_one_slack_behind() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let (_, positions) = run(&mut pacer, start, 1000, |_| None);
        assert_eq!(positions[999], ms(1000) - SLACK);
    }

    #[test]
    fn without_a_sink_the_last_message_is_played_one_slack_late() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        for written in [10, 20, 30, 31] {
            let from = start + ms(100 * written);
            pacer.advance(from, None, until(pacer.position));
            let end = ms(written);
            let before = pacer.advance(from + SLACK, None, until(end));
            assert!(before < end, "{before:?}");
            assert_eq!(pacer.advance(from + SLACK + ms(10), None, until(end)), end);
        }
    }

    #[test]
    fn a_sink_that_opens_late_causes_neither_a_stall_nor_a_burst() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| (step > 700).then(|| ms(step - 700));
        let (_, positions) = run(&mut pacer, start, 3000, sink);
        assert!(positions[29] > Duration::ZERO, "the first period ends at most one slack late");
        let steps = positions.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.skip(30).all(|step| step > ms(1) / 2 && step < ms(2)));
    }

    #[test]
    fn a_sink_that_jumps_ahead_moves_the_position_by_at_most_two_slacks() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let (_, positions) =
            run(&mut pacer, start, 1000, |step| Some(ms(if step < 500 { step } else { 10_000 })));
        let largest = positions.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(largest <= Some(SLACK * 2), "{largest:?}");
    }

    #[test]
    fn a_sink_that_is_slow_by_a_thousandth_is_followed_for_good() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| ms(step) - ms(step) / 1000;
        let (_, positions) = run(&mut pacer, start, 600_000, |step| Some(sink(step)));
        assert_eq!(positions[599_999], sink(600_000));
    }

    #[test]
    fn the_position_never_moves_backwards() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let erratic = |step: u64| (!step.is_multiple_of(7)).then(|| ms(step * 31 % 97));
        let (_, positions) = run(&mut pacer, start, 1000, erratic);
        assert!(positions.is_sorted());
    }

    #[test]
    fn time_in_which_the_process_did_not_run_is_lost() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let given = Given { due: Some(ms(10)), end: ms(9_000) };
        let position = pacer.advance(start + ms(60_000), None, given);
        assert_eq!((position, pacer.reference), (ms(10) + MAX_LATENESS - SLACK, ms(10) + MAX_LATENESS));
    }

    #[test]
    fn no_update_moves_the_position_by_a_whole_buffer() {
        let (mut pacer, start) = (Pacer::new(&s16_stereo()), Instant::now());
        pacer.start(start);
        let mut at = start;
        for index in 0..1000u64 {
            at += ms(index * 7 % 300);
            let before = pacer.position;
            let given = Given { due: Some(before + ms(10)), end: before + ms(40) };
            // The buffer has 40 ms, and its periods 10 ms.
            assert!(pacer.advance(at, None, given) <= before + ms(30));
        }
    }

    #[test]
    fn a_sink_that_stalls_does_not_slow_the_guest_down() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let (_, positions) = run(&mut pacer, start, 10_000, |step| Some(ms(step.min(500))));
        assert_eq!(positions[9_999], ms(10_000) - SLACK);
    }

    #[test]
    fn a_delay_of_a_tenth_of_a_second_is_gone_after_two_seconds() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| ms(step.saturating_sub(120));
        let (_, positions) = run(&mut pacer, start, 2500, |step| Some(sink(step)));
        assert_eq!(positions[2400..], (2401..=2500).map(sink).collect::<Vec<_>>());
    }

    #[test]
    fn after_an_underrun_the_position_continues_with_the_next_message() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        assert_eq!(pacer.advance(start + ms(500), Some(ms(100)), until(ms(100))), ms(100));
        // A message of 10 ms arrives. Had the reference moved on, the message would be due at once.
        assert_eq!(pacer.advance(start + ms(501), Some(ms(100)), until(ms(110))), ms(100));
        assert_eq!(pacer.advance(start + ms(506), Some(ms(105)), until(ms(110))), ms(105));
        assert_eq!(pacer.advance(start + ms(540), Some(ms(110)), until(ms(110))), ms(110));
    }

    #[test]
    fn a_source_that_delivers_large_pieces_is_followed_without_gaps() {
        // What a source has delivered by step `step`, in pieces of 60 ms, without the last.
        let delivered = |start: Duration, step: u64| start + ms(step / 60 * 60);
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let (from, positions) = run(&mut pacer, start, 300, |_| None);
        pacer.rebase();
        let silence = positions[299];
        let (_, positions) = run(&mut pacer, from, 60_000, |step| Some(delivered(silence, step)));
        // The last piece is there too: nothing is missing as long as the position is not past it.
        let missing = positions.iter().zip(1..).find(|(at, step)| **at > delivered(silence, *step) + ms(60));
        assert_eq!(missing, None);
    }

    #[test]
    fn after_a_skip_the_next_message_takes_its_own_duration() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        pacer.advance(start + ms(5), Some(ms(5)), until(ms(1000)));
        pacer.skip_to(ms(1000));
        assert_eq!(pacer.advance(start + ms(6), Some(ms(6)), until(ms(1010))), ms(1000));
        assert_eq!(pacer.advance(start + ms(6) + ms(13) + SLACK, Some(ms(39)), until(ms(1010))), ms(1010));
    }

    #[test]
    fn a_stopped_stream_does_not_move() {
        let (mut pacer, start) = (pacer(), Instant::now());
        pacer.start(start);
        let at = pacer.advance(start + ms(50), Some(ms(50)), ENDLESS);
        pacer.stop();
        assert_eq!(pacer.advance(start + ms(5000), Some(ms(90)), ENDLESS), at);
        assert_eq!(pacer.time_until(ms(60)), None);
        pacer.start(start + ms(5000));
        assert_eq!(pacer.time_until(ms(60)), Some(ms(10)));
        assert_eq!(pacer.advance(start + ms(5010), Some(ms(60)), ENDLESS), ms(60));
    }
}
