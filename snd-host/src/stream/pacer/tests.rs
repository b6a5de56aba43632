//! Tests of the pacer.

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
fn a_delay_is_gone_after_two_seconds_if_the_position_is_updated_seldom() {
    let (mut pacer, start) = (pacer(), Instant::now());
    pacer.start(start);
    let sink = |at: u64| ms(at.saturating_sub(120));
    for at in (400..=2400).step_by(400) {
        let given = Given { due: Some(pacer.position + ms(400)), end: ms(10_000) };
        pacer.advance(start + ms(at), Some(sink(at)), given);
    }
    assert_eq!(pacer.position, sink(2400));
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
    // The audio that a source has delivered by step `step`, in pieces of 60 ms, without the last
    // piece.
    let delivered = |start: Duration, step: u64| start + ms(step / 60 * 60);
    let (mut pacer, start) = (pacer(), Instant::now());
    pacer.start(start);
    let (from, positions) = run(&mut pacer, start, 300, |_| None);
    pacer.rebase();
    let silence = positions[299];
    let (_, positions) = run(&mut pacer, from, 60_000, |step| Some(delivered(silence, step)));
    // The last piece has also arrived: no audio is missing as long as the position is not past this
    // piece.
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

#[test]
fn the_time_that_is_waited_for_a_source_ends_when_time_alone_suffices() {
    let (mut pacer, start) = (pacer(), Instant::now());
    pacer.start(start);
    pacer.advance(start + ms(30), Some(ms(20)), ENDLESS);
    // The source has delivered 20 ms. Without more audio, the position reaches 25 ms after 45 ms.
    assert_eq!(pacer.time_until_at_most(ms(25)), Some(ms(25) + SLACK - pacer.reference));
    assert_eq!(pacer.time_until_at_most(ms(20)), Some(ms(0)));
    // A source that is far ahead is followed up to the end of the slack.
    pacer.advance(start + ms(40), Some(ms(500)), ENDLESS);
    let wait = pacer.time_until_at_most(ms(100)).unwrap();
    assert_eq!(wait, ms(100) - SLACK - pacer.reference);
    assert_eq!(pacer.time_until_at_most(ms(600)), Some(ms(600) + SLACK - pacer.reference));
}

#[test]
fn time_moves_the_position_up_to_the_limit_however_late_an_update_is() {
    for (late, at_limit) in [(ms(300), false), (ms(10_000), true)] {
        for (due, end, limit) in [(500, 2000, 600), (500, 550, 550), (0, 2000, 100), (0, 0, 0)] {
            let (mut pacer, start) = (pacer(), Instant::now());
            pacer.start(start);
            let (now, positions) = run(&mut pacer, start, 1000, |step| Some(ms(step)));
            let position = positions[999];
            let given = Given { due: (due > 0).then_some(position + ms(due)), end: position + ms(end) };
            assert_eq!(pacer.limit(given), position + ms(limit));
            let moved = pacer.advance(now + late, None, given);
            assert!(moved <= position + ms(limit), "{late:?} {due} {end}: {:?}", moved - position);
            assert!(!at_limit || moved + SLACK >= position + ms(limit), "{due} {end}: {moved:?}");
        }
    }
}
