//! When audio counts as played: the clock that completions follow.
//!
//! A guest hears of its audio's progress by the completion of messages. If completions stop for a tenth of a
//! second, Linux gives up; if they come in bursts, its idea of the position jumps. A host sink does both:
//! it takes its time to start, stalls, disappears. So completions follow a position of our own. It follows
//! the sink, but never strays further than [`SLACK`] from a reference line that moves evenly. The same goes for a
//! source of audio.
//!
//! The reference line itself is drawn towards the sink at a rate no ear and no guest would notice, so that
//! a sink whose crystal is a little fast or slow leads for good and is never fought.

use std::time::{Duration, Instant};

/// How far the position may be from the reference line.
pub(crate) const SLACK: Duration = Duration::from_millis(20);

/// The reference line is corrected by at most this part of the time that has passed: 0.5 %.
const STEERING: u32 = 200;

/// The position of a stream, in time played since it was prepared.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// When the position was last determined; `None` while the stream stands still.
    last: Option<Instant>,
    line: Duration,
    position: Duration,
}

impl Pacer {
    /// Lets the position move from now on.
    pub(crate) fn start(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Holds the position.
    pub(crate) fn stop(&mut self) {
        self.last = None;
    }

    /// Whether the position moves.
    pub(crate) const fn runs(&self) -> bool {
        self.last.is_some()
    }

    /// Determines the position `now`.
    ///
    /// `heard` is where the sink is, if it plays. `written` is how much the guest has given: the position
    /// does not move beyond it, and after an underrun goes on from there.
    pub(crate) fn advance(&mut self, now: Instant, heard: Option<Duration>, written: Duration) -> Duration {
        let Some(last) = self.last.replace(now) else {
            self.last = None;
            return self.position;
        };
        let passed = now.saturating_duration_since(last);
        self.line += passed;
        let floor = self.line.saturating_sub(SLACK);
        let target = match heard {
            Some(heard) => {
                self.steer(heard, passed / STEERING);
                heard.clamp(floor, self.line + SLACK)
            }
            None => floor,
        };
        self.position = self.position.max(target.min(written));
        // When all is played, time stands still until there is more.
        self.line = if self.position == written { written } else { self.line.min(written + SLACK) };
        self.position
    }

    /// Draws the reference line anew from where the position is: the other side has only just begun to move,
    /// and is given the time to get into its stride.
    pub(crate) fn begin_anew(&mut self) {
        self.line = self.position;
    }

    /// Goes on from `end`, up to where everything is over all at once.
    pub(crate) fn skip_to(&mut self, end: Duration) {
        self.position = self.position.max(end);
        self.line = self.line.max(self.position);
    }

    fn steer(&mut self, towards: Duration, limit: Duration) {
        self.line = if towards >= self.line {
            self.line + (towards - self.line).min(limit)
        } else {
            self.line - (self.line - towards).min(limit)
        };
    }

    /// How long it takes, as far as one can tell, until the position is at `end`.
    pub(crate) fn until(&self, end: Duration) -> Option<Duration> {
        self.last.map(|_| end.saturating_sub(self.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: Duration = Duration::from_secs(1 << 30);

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
    fn a_healthy_sink_is_followed_exactly() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| ms(step).saturating_sub(ms(3));
        let (_, positions) = run(&mut pacer, start, 1000, |step| Some(sink(step)));
        assert!(positions.iter().zip(1..).all(|(position, step)| *position == sink(step)));
    }

    #[test]
    fn without_a_sink_time_goes_on_one_slack_behind() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let (_, positions) = run(&mut pacer, start, 1000, |_| None);
        assert_eq!(positions[999], ms(1000) - SLACK);
    }

    #[test]
    fn without_a_sink_the_last_message_is_over_one_slack_late() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        for written in [10, 20, 30, 31] {
            let from = start + ms(100 * written);
            pacer.advance(from, None, pacer.position);
            let end = ms(written);
            let before = pacer.advance(from + SLACK, None, end);
            assert!(before < end, "{before:?}");
            assert_eq!(pacer.advance(from + SLACK + ms(10), None, end), end);
        }
    }

    #[test]
    fn a_sink_that_starts_late_neither_starves_the_guest_nor_makes_a_burst() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| (step > 700).then(|| ms(step - 700));
        let (_, positions) = run(&mut pacer, start, 3000, sink);
        assert!(positions[29] > Duration::ZERO, "the first period ends one slack late at most");
        let steps = positions.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.skip(30).all(|step| step > ms(1) / 2 && step < ms(2)));
    }

    #[test]
    fn a_sink_that_jumps_ahead_is_followed_by_two_slacks_at_most() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let (_, positions) =
            run(&mut pacer, start, 1000, |step| Some(ms(if step < 500 { step } else { 10_000 })));
        let largest = positions.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(largest <= Some(SLACK * 2), "{largest:?}");
    }

    #[test]
    fn a_sink_that_is_slow_by_a_thousandth_leads_for_good() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| ms(step) - ms(step) / 1000;
        let (_, positions) = run(&mut pacer, start, 600_000, |step| Some(sink(step)));
        assert_eq!(positions[599_999], sink(600_000));
    }

    #[test]
    fn the_position_never_goes_back() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let erratic = |step: u64| (!step.is_multiple_of(7)).then(|| ms(step * 31 % 97));
        let (_, positions) = run(&mut pacer, start, 1000, erratic);
        assert!(positions.is_sorted());
    }

    #[test]
    fn after_an_underrun_time_counts_from_the_next_message() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        assert_eq!(pacer.advance(start + ms(500), Some(ms(100)), ms(100)), ms(100));
        // A message of 10 ms arrives: had the line run on, it would be over at once.
        assert_eq!(pacer.advance(start + ms(501), Some(ms(100)), ms(110)), ms(100));
        assert_eq!(pacer.advance(start + ms(506), Some(ms(105)), ms(110)), ms(105));
        assert_eq!(pacer.advance(start + ms(540), Some(ms(110)), ms(110)), ms(110));
    }

    #[test]
    fn a_source_that_gives_large_pieces_is_waited_for_once_and_then_followed() {
        // What a source has given but for its last piece, at step `step`, and pieces of 60 ms.
        let given = |start: Duration, step: u64| start + ms(step / 60 * 60);
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let (from, positions) = run(&mut pacer, start, 300, |_| None);
        pacer.begin_anew();
        let silence = positions[299];
        let (_, positions) = run(&mut pacer, from, 60_000, |step| Some(given(silence, step)));
        // The last piece is there as well: as long as the position is not beyond it, nothing is missing.
        let missing = positions.iter().zip(1..).find(|(at, step)| **at > given(silence, *step) + ms(60));
        assert_eq!(missing, None);
    }

    #[test]
    fn after_a_skip_the_next_message_takes_as_long_as_it_is() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        pacer.advance(start + ms(5), Some(ms(5)), ms(1000));
        pacer.skip_to(ms(1000));
        assert_eq!(pacer.advance(start + ms(6), Some(ms(6)), ms(1010)), ms(1000));
        assert_eq!(pacer.advance(start + ms(6) + ms(10) + SLACK, Some(ms(36)), ms(1010)), ms(1010));
    }

    #[test]
    fn a_stream_that_is_stopped_stands_still() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let at = pacer.advance(start + ms(50), Some(ms(50)), ENDLESS);
        pacer.stop();
        assert_eq!(pacer.advance(start + ms(5000), Some(ms(90)), ENDLESS), at);
        assert_eq!(pacer.until(ms(60)), None);
        pacer.start(start + ms(5000));
        assert_eq!(pacer.until(ms(60)), Some(ms(10)));
        assert_eq!(pacer.advance(start + ms(5010), Some(ms(60)), ENDLESS), ms(60));
    }
}
