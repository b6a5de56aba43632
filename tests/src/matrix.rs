//! Many forms of audio in one boot of a guest, each in turn, and all of them compared.

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

/// A way to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// What is played.
    pub form: Form,
    /// Frames of a period.
    pub period: u32,
    /// The format of the virtqueues.
    pub ring: Ring,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, periods of {} frames, {} rings", self.form, self.period, self.ring)
    }
}

/// The environment variable that has tests play every case. `cargo xtask test --full` sets it.
pub const FULL: &str = "END_TO_END_FULL";

const CHANNELS: [u8; 4] = [1, 2, 6, 8];
const RATES: [u32; 4] = [8_000, 44_100, 48_000, 192_000];
const PERIODS: [u32; 3] = [64, 1024, 24_000];
const RINGS: [Ring; 2] = [Ring::Split, Ring::Packed];

/// The most time for one boot, in which the guest's script may take two minutes.
const ONE_BOOT: Duration = Duration::from_secs(80);

/// How long a case takes beyond its sound, about: programs start slowly in emulation.
const OVERHEAD: Duration = Duration::from_secs(1);

/// So many frames tell the beginning of one case's pattern from all else.
const BEGINNING: u32 = 16;

/// What the guest's script does with each command: up to ten attempts.
///
/// ALSA sees how far a sound card has come as a place in a buffer that goes round. When all of the buffer is
/// played before it looks again, it sees no progress, and `aplay` gives up after a tenth of a second (EIO). A buffer
/// of sixteen periods, which is the most that Linux's driver has, of 64 frames lasts 5 ms at 192 kHz: an
/// emulated guest is late by that much now and then.
const TRY: &str = "try() { for attempt in 0 1 2 3 4 5 6 7 8 9; do \"$@\" && return; done; exit 1; }\n";

/// Every case there is.
#[must_use]
pub fn all() -> Vec<Case> {
    (0..Format::ALL.len() * CHANNELS.len() * RATES.len() * PERIODS.len() * RINGS.len()).map(case).collect()
}

/// The case with this number: the digits of the number choose from each list.
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

/// Some of the cases, at least `least`: any two choices for two of their properties are in one of them.
#[must_use]
pub fn pairwise(least: usize) -> Vec<Case> {
    let mut left = all();
    let mut chosen: Vec<Case> = Vec::new();
    loop {
        let new_pairs = |case: &Case| {
            pairs(case).iter().filter(|pair| !chosen.iter().any(|other| pairs(other).contains(pair))).count()
        };
        let Some((at, news)) =
            left.iter().map(new_pairs).enumerate().max_by_key(|(at, news)| (*news, usize::MAX - at))
        else {
            return chosen;
        };
        if news == 0 && chosen.len() >= least {
            return chosen;
        }
        chosen.push(left.swap_remove(at));
    }
}

/// The choices of a case, two at a time.
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
    /// How many frames are played: a quarter of a second, but two periods at least, and whole ones.
    #[must_use]
    pub fn frames(&self) -> u32 {
        (self.form.rate / 4).max(self.period + 1).next_multiple_of(self.period)
    }

    fn file(seed: u32) -> String {
        format!("case-{seed}.raw")
    }

    /// How long it takes, about: ALSA adds silence up to a period when it drains.
    fn duration(&self) -> Duration {
        OVERHEAD + Duration::from_secs(1) * (self.frames() + self.period) / self.form.rate
    }

    /// What plays it in the guest.
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

/// Plays all cases in as few guests as will do, and compares what arrives. `each` is told of each case.
///
/// # Errors
/// If a guest or the daemon fails. Wrong frames are no error: they are what the reports tell.
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

/// Divides cases into those that one boot has the time for.
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

/// Finds out which takes are of which case. A case has several if the guest had to play it again, or if an
/// underrun in the guest ended a take and began the next, which loses nothing. Returns the last recording of each,
/// in ALSA's order of channels.
fn attribute(cases: &[Case], takes: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let beginnings: Vec<Vec<u8>> =
        (0..).zip(cases).map(|(seed, case)| case.form.pattern(seed, BEGINNING)).collect();
    let mut recordings = vec![Vec::new(); cases.len()];
    let mut current = 0;
    for take in takes {
        // The one it goes on with, or one of those after it.
        let begun = (current..cases.len())
            .map(|at| (at, cases[at].form.in_alsas_order(take)))
            .find(|(at, frames)| frames.starts_with(&beginnings[*at]));
        match begun {
            Some((at, frames)) => (current, recordings[at]) = (at, frames),
            None => recordings[current].extend(cases[current].form.in_alsas_order(take)),
        }
    }
    recordings
}

/// Plays some cases in one guest. Returns all that was recorded, in order.
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
        program,
        isolated_by: None,
        image,
        ring,
        options: &["--sink", &format!("filesink location={recordings}/{{take}}.raw sync=true")],
        writable: directory.path(),
        properties: &[],
        handed_over: None,
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
    fn every_case_is_there_once() {
        let all = all();
        assert_eq!(all.len(), 5 * 4 * 4 * 3 * 2);
        assert!(all.iter().enumerate().all(|(at, case)| !all[..at].contains(case)));
    }

    #[test]
    fn takes_are_attributed_to_the_case_that_they_begin_or_go_on_with() {
        let form = Form { format: Format::U8, channels: 1, rate: 8_000 };
        let cases = [64, 1024].map(|period| Case { form, period, ring: Ring::Split });
        let [first, second] = [0, 1].map(|seed| form.pattern(seed, 200));
        let takes = [&first[..100], &first[..120], &first[120..], &second].map(<[u8]>::to_vec);
        assert_eq!(attribute(&cases, &takes), [first, second]);
    }

    #[test]
    fn every_boot_has_the_time_for_its_cases() {
        let boots = boots(all());
        assert_eq!(boots.concat(), all());
        let time = |boot: &Vec<Case>| boot.iter().map(Case::duration).sum::<Duration>();
        assert!(boots.iter().all(|boot| time(boot) <= ONE_BOOT));
        assert!(boots.len() <= 20, "{}", boots.len());
    }

    #[test]
    fn any_two_choices_meet_in_one_of_few_cases() {
        let some = pairwise(24);
        assert!((24..=30).contains(&some.len()), "{}", some.len());
        for pair in all().iter().flat_map(pairs) {
            assert!(some.iter().any(|case| pairs(case).contains(&pair)), "{pair:?}");
        }
    }
}
