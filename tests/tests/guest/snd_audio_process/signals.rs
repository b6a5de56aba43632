//! The audio process is killed (SIGKILL) and stopped (SIGSTOP).

use std::error::Error;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::audio_process::{Usage, audio_process, signal};
use end_to_end::matrix::FULL;
use end_to_end::pattern::Pattern;
use rustix::process::Signal;

use super::gaps;
use super::session::{play_and_record, start_card};
use super::{FRAME, KILLED, STOPPED};

/// The length of the audio, and how often the audio process is killed and stopped.
struct Plan {
    seconds: u8,
    kills: usize,
    stops: usize,
}

/// What `cargo xtask test` runs, and what it runs with `--full`.
const SHORT: Plan = Plan { seconds: 30, kills: 5, stops: 2 };
const LONG: Plan = Plan { seconds: 60, kills: 20, stops: 5 };

/// The number of frames that an audio process plays before it is interrupted: 1.2 s.
const UNDISTURBED: usize = 57_600;

/// How much memory the card process may use in addition, in KiB. Its allocator keeps freed memory.
const MEMORY_KIB: u64 = 512;

/// The longest wait for an audio process that plays.
const NEXT_WITHIN: Duration = Duration::from_secs(30);

/// An interruption of the audio process.
#[derive(Debug, Clone, Copy)]
struct Interruption {
    /// The number of frames that had been played.
    at: usize,
    /// The longest gap that it may cause, in frames.
    limit: i64,
}

/// The number of a card process, and the file that its sink writes.
struct Card<'a> {
    process: u32,
    played: &'a Path,
}

impl Card<'_> {
    /// Returns the number of frames that were played.
    fn frames(&self) -> usize {
        let bytes = fs::metadata(self.played).map_or(0, |file| file.len());
        usize::try_from(bytes / FRAME).unwrap_or(usize::MAX)
    }

    /// Waits until an audio process other than `previous` has played undisturbed, and returns it.
    fn wait_for_audio(&self, previous: Option<u32>) -> Result<u32, Box<dyn Error>> {
        let deadline = Instant::now() + NEXT_WITHIN;
        let mut since = None;
        loop {
            if let Some(process) = audio_process(self.process).filter(|it| Some(*it) != previous) {
                let (first, from) = *since.get_or_insert((process, self.frames()));
                if first != process {
                    return Err(format!("audio process {first} has ended by itself").into());
                }
                if self.frames() >= from + UNDISTURBED {
                    return Ok(process);
                }
            }
            if Instant::now() > deadline {
                return Err("no audio process plays".into());
            }
            // The kernel reports no event when another process starts or writes.
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills and stops the audio process as often as planned.
    fn interrupt(&self, plan: &Plan) -> Result<Vec<Interruption>, Box<dyn Error>> {
        let mut process = self.wait_for_audio(None)?;
        let before = Usage::of(self.process)?;
        let kills = std::iter::repeat_n((Signal::KILL, KILLED), plan.kills);
        let mut interruptions = Vec::new();
        for (kind, limit) in kills.chain(std::iter::repeat_n((Signal::STOP, STOPPED), plan.stops)) {
            signal(process, kind)?;
            interruptions.push(Interruption { at: self.frames(), limit });
            process = self.wait_for_audio(Some(process))?;
        }
        let after = Usage::of(self.process)?;
        println!("card process before: {before:?}, after: {after:?}");
        let permanent = |usage: Usage| (usage.threads, usage.files, usage.takes);
        // With fewer takes, the audio has ended before all interruptions.
        assert_eq!(permanent(before), permanent(after));
        assert!(after.memory_kib <= before.memory_kib + MEMORY_KIB);
        Ok(interruptions)
    }
}

#[test]
fn a_guest_plays_and_records_while_the_audio_process_is_interrupted() -> Result<(), Box<dyn Error>> {
    let plan = if std::env::var_os(FULL).is_some() { LONG } else { SHORT };
    let directory = tempfile::tempdir()?;
    let (pattern, played) = (Pattern::seconds(plan.seconds), directory.path().join("played"));
    let mut card = start_card(directory.path(), &sink(&played), plan.seconds)?;
    let (recorded, interruptions) = play_and_record(&mut card, directory.path(), pattern, |card| {
        Card { process: card.id(), played: &played }.interrupt(&plan)
    })?;
    card.wait_until_closed(&played)?;
    let mut last = 0;
    for gap in gaps::of_playback(&fs::read(&played)?, pattern)? {
        let cause = interruptions.partition_point(|interruption| interruption.at <= gap.position);
        assert!(cause > last, "no interruption has caused {gap:?}");
        last = cause;
        gap.assert_at_most(interruptions[cause - 1].limit);
    }
    let gaps = gaps::of_recording(&recorded, pattern)?;
    assert_eq!(gaps.len(), interruptions.len());
    gaps.iter().zip(&interruptions).for_each(|(gap, interruption)| gap.assert_at_most(interruption.limit));
    Ok(())
}

/// Returns the description of a sink to which each audio process adds what it plays.
fn sink(played: &Path) -> String {
    format!("filesink location={} append=true sync=true buffer-mode=unbuffered", played.display())
}
