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

    fn file(number: usize) -> String {
        format!("case-{number}.raw")
    }

    fn bytes(&self) -> usize {
        self.frames() as usize * self.form.frame_bytes()
    }

    /// How long it takes, about: ALSA adds silence up to a period when it drains.
    fn duration(&self) -> Duration {
        OVERHEAD + Duration::from_secs(1) * (self.frames() + self.period) / self.form.rate
    }

    /// What plays it in the guest.
    fn command(&self, number: usize) -> String {
        let periods = if self.period < 1024 { 16 } else { 2 };
        format!(
            "aplay -q -D hw:0,0 {} --period-size={} --buffer-size={} /{}\n",
            self.form.alsa_options(),
            self.period,
            self.period * periods,
            Self::file(number)
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
            let recorded = play_together(program, image, ring, &cases)?;
            // An underrun in the guest ends a recording and begins the next, but loses nothing.
            let mut takes = recorded.into_iter();
            for case in &cases {
                let mut recording = Vec::new();
                while recording.len() < case.bytes() {
                    let Some(take) = takes.next() else { break };
                    recording.extend(take);
                }
                each(case, &case.form.check(case.frames(), &case.form.in_alsas_order(&recording)));
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

/// Plays some cases in one guest. Returns all that was recorded, in order.
fn play_together(
    program: &Path,
    image: &GuestImage,
    ring: Ring,
    cases: &[Case],
) -> Result<Vec<Vec<u8>>, PlaybackError> {
    let directory = tempfile::tempdir().map_err(PlaybackError::Directory)?;
    let script: String = cases.iter().enumerate().map(|(number, case)| case.command(number)).collect();
    let overlay = cases
        .iter()
        .enumerate()
        .fold(Overlay::script(&format!("set -e\n{script}")), |overlay, (number, case)| {
            overlay.file(&Case::file(number), case.form.pattern(case.frames()))
        });
    let within = cases.iter().map(|case| case.duration()).sum();
    let recordings = directory.path().display();
    let session = Session {
        program,
        image,
        ring,
        options: &["--sink", &format!("filesink location={recordings}/{{take}}.raw sync=true")],
        writable: directory.path(),
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
