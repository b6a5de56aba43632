//! Each kind of fault in a recording of a pattern of ten frames.

use super::*;
use proptest::prelude::*;

const LENGTH: u32 = 10;

/// Checks a recording of frame numbers; `-1` stands for silence, `-2` for foreign samples.
fn check(recording: &[i64]) -> Report {
    let found: Vec<Found> = recording
        .iter()
        .map(|&number| match number {
            -1 => Found::Silence,
            -2 => Found::Foreign,
            number => Found::Number(u32::try_from(number).expect("tests write small numbers")),
        })
        .collect();
    Checker::new(LENGTH).check(&found)
}

/// Returns the numbers of lost, repeated, misplaced and foreign frames.
fn faults(report: &Report) -> (u32, u32, u32, u32) {
    (report.lost, report.repeated, report.misplaced, report.foreign)
}

#[test]
fn the_pattern_itself_is_exact() {
    let report = check(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert!(report.is_exact());
    assert_eq!(
        report.to_string(),
        "10 of 10 frames bit-exact and in order, 0 lost, 0 repeated, first and last frame present"
    );
}

#[test]
fn silence_around_the_sound_is_counted_separately() {
    let report = check(&[-1, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, -1]);
    assert!(report.is_exact());
    assert_eq!((report.silence_before, report.silence_after), (2, 1));
}

#[test]
fn a_dropped_frame_is_lost() {
    let report = check(&[0, 1, 2, 4, 5, 6, 7, 8, 9]);
    assert_eq!(faults(&report), (1, 0, 0, 0));
    assert_eq!(report.in_order, 9);
    assert_eq!(report.first_fault, Some(Fault { position: 3, expected: 3, found: Some(Found::Number(4)) }));
}

#[test]
fn a_duplicated_frame_is_repeated() {
    let report = check(&[0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(faults(&report), (0, 1, 0, 0));
    assert!(!report.is_exact());
}

#[test]
fn a_duplicated_last_frame_is_repeated() {
    let report = check(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
    assert_eq!(faults(&report), (0, 1, 0, 0));
    assert!(!report.is_exact());
}

#[test]
fn a_period_played_twice_is_repeated() {
    let report = check(&[0, 1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(faults(&report), (0, 3, 0, 0));
}

#[test]
fn swapped_frames_are_misplaced_and_not_lost() {
    let report = check(&[0, 1, 3, 2, 4, 5, 6, 7, 8, 9]);
    assert_eq!(faults(&report), (0, 0, 1, 0));
    assert!(!report.is_exact());
}

#[test]
fn swapped_periods_are_not_exact() {
    let report = check(&[0, 1, 4, 5, 2, 3, 6, 7, 8, 9]);
    assert!(!report.is_exact());
    assert_eq!(report.lost, 0);
    assert_eq!(report.first_fault.map(|fault| fault.position), Some(2));
}

#[test]
fn a_frame_with_wrong_bits_is_foreign_and_its_number_lost() {
    let report = check(&[0, 1, 2, -2, 4, 5, 6, 7, 8, 9]);
    assert_eq!(faults(&report), (1, 0, 0, 1));
}

#[test]
fn a_frame_that_turned_into_another_is_misplaced_and_its_number_lost() {
    let report = check(&[0, 1, 7, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(report.lost, 1);
    assert!(!report.is_exact());
}

#[test]
fn a_number_beyond_the_pattern_is_foreign() {
    let report = check(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(faults(&report), (0, 0, 0, 1));
}

#[test]
fn silence_within_the_sound_is_foreign() {
    let report = check(&[0, 1, 2, 3, -1, -1, 4, 5, 6, 7, 8, 9]);
    assert_eq!(faults(&report), (0, 0, 0, 2));
    assert!(!report.is_exact());
}

#[test]
fn a_missing_beginning_is_lost() {
    let report = check(&[2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(faults(&report), (2, 0, 0, 0));
    assert_eq!(report.first_fault.map(|fault| fault.position), Some(0));
}

#[test]
fn a_missing_end_is_lost() {
    let report = check(&[0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(faults(&report), (2, 0, 0, 0));
    assert_eq!(report.first_fault, Some(Fault { position: 8, expected: 8, found: None }));
}

#[test]
fn a_silent_recording_has_lost_every_frame() {
    let report = check(&[-1, -1, -1]);
    assert_eq!(faults(&report), (LENGTH, 0, 0, 0));
    assert_eq!(report.silence_before, 3);
}

#[test]
fn an_empty_recording_has_lost_every_frame() {
    assert_eq!(check(&[]).lost, LENGTH);
}

proptest! {
    #[test]
    fn only_the_pattern_is_exact(recording in prop::collection::vec(-2..12_i64, 0..14)) {
        let mut audible: Vec<i64> = recording.iter().copied().skip_while(|&n| n == -1).collect();
        while audible.last() == Some(&-1) {
            audible.pop();
        }
        let pattern: Vec<i64> = (0..i64::from(LENGTH)).collect();
        prop_assert_eq!(check(&recording).is_exact(), audible == pattern);
    }

    #[test]
    fn any_single_edit_is_a_fault(edit in 0..4, at in 0..10_usize, with in 0..10_i64) {
        let mut recording: Vec<i64> = (0..10).collect();
        match edit {
            0 => { recording.remove(at); }
            1 => recording.insert(at, with),
            2 if recording[at] != with => recording[at] = with,
            _ if at != 9 => recording.swap(at, 9),
            _ => return Ok(()),
        }
        prop_assert!(!check(&recording).is_exact());
    }

    #[test]
    fn every_recorded_frame_is_counted_once(recording in prop::collection::vec(-2..12_i64, 0..40)) {
        let report = check(&recording);
        let counted = (report.in_order + report.repeated + report.misplaced + report.foreign) as usize
            + report.silence_before
            + report.silence_after;
        prop_assert_eq!(counted, recording.len());
    }
}
