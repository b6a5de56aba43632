//! An element of GStreamer crashes in the audio process.

use std::error::Error;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use end_to_end::audio_process::limit_files;
use end_to_end::daemon::Daemon;
use end_to_end::pattern::Pattern;
use rustix::fs::{CWD, Mode, mkfifoat};

use super::session::{play_and_record, start_card};
use super::{KILLED, gaps};

const SECONDS: u8 = 30;
const CRASHES: usize = 8;

/// The size of a file at which the kernel ends the process that writes it (SIGXFSZ): two seconds of
/// audio.
const LIMIT: u64 = 384_000;

/// The line of the log that names a crash of the audio process.
const CRASHED: &str = "the audio process is replaced, because it has ended";

/// The longest wait for a crash.
const WITHIN: Duration = Duration::from_secs(60);

/// Reads a FIFO to which the audio processes write what they play.
struct Listener {
    /// Keeps the FIFO open between two audio processes.
    _open: File,
    heard: JoinHandle<std::io::Result<Vec<u8>>>,
}

impl Listener {
    fn create(fifo: &Path) -> Result<Self, Box<dyn Error>> {
        mkfifoat(CWD, fifo, Mode::RUSR | Mode::WUSR)?;
        let open = File::options().read(true).write(true).open(fifo)?;
        let mut fifo = File::open(fifo)?;
        let read = move || {
            let mut heard = Vec::new();
            fifo.read_to_end(&mut heard).map(|_| heard)
        };
        Ok(Self { _open: open, heard: thread::spawn(read) })
    }

    /// Returns all that was played, once no process has the FIFO open.
    fn heard(self) -> Result<Vec<u8>, Box<dyn Error>> {
        let Self { _open: open, heard } = self;
        drop(open);
        Ok(heard.join().map_err(|_| "the thread has panicked")??)
    }
}

/// Waits for the crashes, and then removes the limit of the current and of later audio processes.
fn wait_for_crashes(card: &mut Daemon) -> Result<usize, Box<dyn Error>> {
    let deadline = Instant::now() + WITHIN;
    while count(card) < CRASHES {
        if Instant::now() > deadline {
            return Err(format!("only {} crashes", count(card)).into());
        }
        thread::sleep(Duration::from_millis(5));
    }
    limit_files(card.id(), None)?;
    Ok(count(card))
}

/// Returns the number of crashes in the log.
fn count(card: &mut Daemon) -> usize {
    card.log().iter().filter(|line| line.contains(CRASHED)).count()
}

/// The sink has two branches: a FIFO that the test reads, and a file that each process writes anew
/// until it crashes.
#[test]
#[ignore = "only `cargo xtask test --full` takes the time"]
fn a_guest_plays_and_records_while_a_sink_crashes() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let (fifo, file) = (directory.path().join("fifo"), directory.path().join("file"));
    let listener = Listener::create(&fifo)?;
    let sink = format!(
        "tee name=tee ! queue ! filesink location={} sync=true buffer-mode=unbuffered
         tee. ! queue ! filesink location={} sync=true buffer-mode=unbuffered",
        fifo.display(),
        file.display()
    );
    let pattern = Pattern::seconds(SECONDS);
    let mut card = start_card(directory.path(), &sink, SECONDS)?;
    limit_files(card.id(), Some(LIMIT))?;
    let (recorded, _) = play_and_record(&mut card, directory.path(), pattern, wait_for_crashes)?;
    card.wait_until_closed(&fifo)?;
    // A process may have crashed before the limit was removed.
    let crashes = count(&mut card);
    drop(card);
    println!("{crashes} crashes, each after {} frames", LIMIT / 4);
    for gaps in [gaps::of_playback(&listener.heard()?, pattern)?, gaps::of_recording(&recorded, pattern)?] {
        assert!(gaps.len() <= crashes, "{gaps:?}");
        gaps.iter().for_each(|gap| gap.assert_at_most(KILLED));
    }
    assert!(fs::metadata(&file)?.len() > LIMIT, "the last process was not limited");
    Ok(())
}
