//! Plays many forms of audio one after the other in a few guests, and compares each of them.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::artifacts::GuestImage;
use crate::check::Report;
use crate::form::{Form, Format};
use crate::guest::Overlay;
use crate::playback::{PlaybackError, Ring, Session};

/// One combination of audio form, period and ring format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The form of the audio.
    pub form: Form,
    /// The number of frames in a period.
    pub period: u32,
    /// The format of the virtqueues.
    pub ring: Ring,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, periods of {} frames, {} rings", self.form, self.period, self.ring)
    }
}

/// The environment variable that makes tests play every case. `cargo xtask test --full` sets it.
pub const FULL: &str = "END_TO_END_FULL";

const CHANNELS: [u8; 4] = [1, 2, 6, 8];
const RATES: [u32; 4] = [8_000, 44_100, 48_000, 192_000];
const PERIODS: [u32; 3] = [64, 1024, 24_000];
const RINGS: [Ring; 2] = [Ring::Split, Ring::Packed];

/// The longest time that is planned for one boot. The guest's script is stopped after ten minutes.
const ONE_BOOT: Duration = Duration::from_secs(80);

/// The estimated time of a case beyond its audio. Programs start slowly in emulation.
const OVERHEAD: Duration = Duration::from_secs(1);

/// The number of frames that distinguish the beginning of a case's pattern from all other audio.
const BEGINNING: u32 = 16;

/// The shell function that makes up to ten attempts to run a command in the guest.
///
/// ALSA sees a sound card's progress as a position in a ring buffer. If the whole buffer is played
/// before ALSA reads the position again, ALSA sees no progress and `aplay` fails after 100 ms
/// (EIO). Linux's driver allows at most sixteen periods. Sixteen periods of 64 frames last 5 ms at
/// 192 kHz, and an emulated guest sometimes reads the position later.
const TRY: &str = "try() { for attempt in 0 1 2 3 4 5 6 7 8 9; do \"$@\" && return; done; exit 1; }\n";

/// Returns every case.
#[must_use]
pub fn all() -> Vec<Case> {
    (0..Format::ALL.len() * CHANNELS.len() * RATES.len() * PERIODS.len() * RINGS.len()).map(case).collect()
}

/// Returns the case with this number. Each digit of the number selects from one list.
fn case(number: usize) -> Case {
    let mut rest = number;
    let mut digit = |base| {
        let digit = rest % base;
        rest /= base;
        digit
    };
    Case {
        form: Form {
            format: Format::ALL[digit(Format::ALL.len())],
            channels: CHANNELS[digit(CHANNELS.len())],
            rate: RATES[digit(RATES.len())],
        },
        period: PERIODS[digit(PERIODS.len())],
        ring: RINGS[digit(RINGS.len())],
    }
}

/// Returns at least `least` cases. For any two properties, each pair of choices occurs in at least
/// one case.
#[must_use]
pub fn pairwise(least: usize) -> Vec<Case> {
    let mut left = all();
    let mut chosen: Vec<Case> = Vec::new();
    loop {
        let new_pairs = |case: &Case| {
            pairs(case).iter().filter(|pair| !chosen.iter().any(|other| pairs(other).contains(pair))).count()
        };
        let Some((at, added)) =
            left.iter().map(new_pairs).enumerate().max_by_key(|(at, added)| (*added, usize::MAX - at))
        else {
            return chosen;
        };
        if added == 0 && chosen.len() >= least {
            return chosen;
        }
        chosen.push(left.swap_remove(at));
    }
}

/// Returns all pairs of a case's choices.
fn pairs(case: &Case) -> Vec<[(usize, u32); 2]> {
    let choices = [
        case.form.format as u32,
        case.form.channels.into(),
        case.form.rate,
        case.period,
        u32::from(case.ring == Ring::Packed),
    ];
    let choices: Vec<(usize, u32)> = choices.into_iter().enumerate().collect();
    let pairs = choices.iter().enumerate().flat_map(|(at, a)| choices[at + 1..].iter().map(|b| [*a, *b]));
    pairs.collect()
}

impl Case {
    /// Returns the number of frames to play: 250 ms in whole periods, and at least two periods.
    #[must_use]
    pub fn frames(&self) -> u32 {
        (self.form.rate / 4).max(self.period + 1).next_multiple_of(self.period)
    }

    fn file(seed: u32) -> String {
        format!("case-{seed}.raw")
    }

    /// Returns the estimated time. ALSA pads the audio with silence to a whole period.
    fn duration(&self) -> Duration {
        OVERHEAD + Duration::from_secs(1) * (self.frames() + self.period) / self.form.rate
    }

    /// Returns the command that plays the case in the guest.
    fn command(&self, seed: u32) -> String {
        let periods = if self.period < 1024 { 16 } else { 2 };
        format!(
            "try aplay -q -D hw:0,0 {} --period-size={} --buffer-size={} /{}\n",
            self.form.alsa_options(),
            self.period,
            self.period * periods,
            Self::file(seed)
        )
    }
}

/// Plays all cases in a few guests, compares the audio that arrives, and calls `each` with each
/// report.
///
/// # Errors
/// Fails if a guest or the daemon fails. Wrong frames are not an error; the reports count them.
pub fn play(
    program: &Path,
    image: &GuestImage,
    cases: &[Case],
    mut each: impl FnMut(&Case, &Report),
) -> Result<(), PlaybackError> {
    for ring in RINGS {
        let cases: Vec<Case> = cases.iter().filter(|case| case.ring == ring).copied().collect();
        for cases in boots(cases) {
            let takes = play_together(program, image, ring, &cases)?;
            for ((seed, case), recording) in (0..).zip(&cases).zip(attribute(&cases, &takes)) {
                each(case, &case.form.check(seed, case.frames(), &recording));
            }
        }
    }
    Ok(())
}

/// Divides cases into groups that fit into the time of one boot.
fn boots(cases: Vec<Case>) -> Vec<Vec<Case>> {
    let mut boots: Vec<Vec<Case>> = Vec::new();
    let mut time = ONE_BOOT;
    for case in cases {
        time += case.duration();
        match boots.last_mut() {
            Some(boot) if time <= ONE_BOOT => boot.push(case),
            _ => {
                boots.push(vec![case]);
                time = case.duration();
            }
        }
    }
    boots
}

/// Attributes takes to cases, and returns the last recording of each case in ALSA's channel order.
///
/// A case has several takes if the guest repeated it, or if an underrun in the guest ended one take
/// and began the next without losing a frame.
fn attribute(cases: &[Case], takes: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let beginnings: Vec<Vec<u8>> =
        (0..).zip(cases).map(|(seed, case)| case.form.pattern(seed, BEGINNING)).collect();
    let mut recordings = vec![Vec::new(); cases.len()];
    let mut current = 0;
    for take in takes {
        // A take begins the current case again, begins a later case, or continues the current case.
        let begun = (current..cases.len())
            .map(|at| (at, cases[at].form.in_alsa_order(take)))
            .find(|(at, frames)| frames.starts_with(&beginnings[*at]));
        match begun {
            Some((at, frames)) => (current, recordings[at]) = (at, frames),
            None => recordings[current].extend(cases[current].form.in_alsa_order(take)),
        }
    }
    recordings
}

/// Plays cases in one guest, and returns the recordings of all takes in order.
fn play_together(
    program: &Path,
    image: &GuestImage,
    ring: Ring,
    cases: &[Case],
) -> Result<Vec<Vec<u8>>, PlaybackError> {
    let directory = tempfile::tempdir().map_err(PlaybackError::Directory)?;
    let commands: String = (0..).zip(cases).map(|(seed, case)| case.command(seed)).collect();
    let script = format!("{TRY}{commands}");
    let overlay = (0..).zip(cases).fold(Overlay::script(&script), |overlay, (seed, case)| {
        overlay.file(&Case::file(seed), case.form.pattern(seed, case.frames()))
    });
    let within = cases.iter().map(|case| case.duration()).sum();
    let recordings = directory.path().display();
    let session = Session {
        // With the largest latency, a busy machine has to be very late until frames are dropped.
        options: &[
            "--latency",
            "500",
            "--sink",
            &format!("filesink location={recordings}/{{take}}.raw sync=true"),
        ],
        ..Session::new(program, image, ring, directory.path())
    };
    session.run(&overlay, within)?;
    (0..)
        .map(|take| fs::read(directory.path().join(format!("{take}.raw"))))
        .take_while(|take| !matches!(take, Err(error) if error.kind() == io::ErrorKind::NotFound))
        .collect::<Result<_, _>>()
        .map_err(PlaybackError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_exists_once() {
        let all = all();
        assert_eq!(all.len(), 5 * 4 * 4 * 3 * 2);
        assert!(all.iter().enumerate().all(|(at, case)| !all[..at].contains(case)));
    }

    #[test]
    fn a_take_belongs_to_the_case_that_it_begins_or_continues() {
        let form = Form { format: Format::U8, channels: 1, rate: 8_000 };
        let cases = [64, 1024].map(|period| Case { form, period, ring: Ring::Split });
        let [first, second] = [0, 1].map(|seed| form.pattern(seed, 200));
        let takes = [&first[..100], &first[..120], &first[120..], &second].map(<[u8]>::to_vec);
        assert_eq!(attribute(&cases, &takes), [first, second]);
    }

    #[test]
    fn the_cases_of_a_boot_fit_into_its_time() {
        let boots = boots(all());
        assert_eq!(boots.concat(), all());
        let time = |boot: &Vec<Case>| boot.iter().map(Case::duration).sum::<Duration>();
        assert!(boots.iter().all(|boot| time(boot) <= ONE_BOOT));
        assert!(boots.len() <= 20, "{}", boots.len());
    }

    #[test]
    fn any_two_choices_occur_together_in_a_selected_case() {
        let some = pairwise(24);
        assert!((24..=30).contains(&some.len()), "{}", some.len());
        for pair in all().iter().flat_map(pairs) {
            assert!(some.iter().any(|case| pairs(case).contains(&pair)), "{pair:?}");
        }
    }
}
