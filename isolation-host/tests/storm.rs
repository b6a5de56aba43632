//! A storm: the device, isolation-host and the connection to the VMM are killed at random, while a
//! guest writes and reads a disk and compares each byte.
//!
//! `cargo xtask storm` runs the long form.

#[path = "storm/disk.rs"]
mod disk;
#[path = "storm/load.rs"]
mod load;
#[path = "storm/session.rs"]
mod session;
mod support;

use std::time::{Duration, Instant, SystemTime};

use disk::Disk;
use load::Tally;
use proptest::prelude::RngCore as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use session::{Kills, Session};

/// The ring formats: those of the guest, then those of the disk.
const FORMATS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// The results of all sessions.
#[derive(Default)]
struct Storm {
    kills: Kills,
    tally: Tally,
}

impl Storm {
    /// Runs a session of `kills` events with up to `calm` of load at a time. Each event kills one
    /// or more parts.
    fn session(&mut self, random: &mut TestRng, formats: (bool, bool), kills: u32, calm: Duration) {
        let mut session = Session::start(formats);
        session.rage(random, kills, calm);
        session.settle();
        self.kills.add(&session.kills);
        self.tally.add(&session.tally());
    }

    /// Fails if a request was lost, returned twice or wrong.
    fn check(&self) {
        assert_eq!(self.tally.faults(), 0, "{}", self.tally);
    }
}

fn generator(seed: u64) -> TestRng {
    TestRng::from_seed(RngAlgorithm::XorShift, &[seed.to_le_bytes(), seed.to_be_bytes()].concat())
}

#[test]
fn a_short_storm_loses_doubles_and_corrupts_no_request() {
    const KILLS: u32 = 12;
    let mut storm = Storm::default();
    for (number, formats) in FORMATS.into_iter().enumerate() {
        storm.session(&mut generator(number as u64 + 1), formats, KILLS, Duration::from_millis(4));
    }
    println!("{}; {}", storm.kills, storm.tally);
    storm.check();
    assert!(storm.kills.events >= KILLS * 4 && storm.tally.completed > u64::from(KILLS));
}

/// Takes `STORM_MINUTES`, 10 unless it is set, and `STORM_SEED`.
#[test]
#[ignore = "takes ten minutes; `cargo xtask storm` runs it"]
fn a_long_storm_loses_doubles_and_corrupts_no_request() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let minutes = number("STORM_MINUTES").unwrap_or(10);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("STORM_SEED").unwrap_or(now.as_secs());
    println!("a storm of {minutes} minutes with seed {seed}");
    let (mut random, mut storm) = (generator(seed), Storm::default());
    let start = Instant::now();
    for session in 1.. {
        let formats = FORMATS[session % FORMATS.len()];
        storm.session(&mut random, formats, 40, Duration::from_millis(100));
        let name = |packed| if packed { "packed" } else { "split" };
        let rings = format!("guest {}, disk {}", name(formats.0), name(formats.1));
        let seconds = start.elapsed().as_secs();
        println!("{seconds:>5} s, session {session} ({rings}): {}; {}", storm.kills, storm.tally);
        storm.check();
        if seconds >= minutes * 60 {
            break;
        }
    }
    println!("seed {seed}: {}; {}", storm.kills, storm.tally);
}

/// The process of a disk. Does nothing unless a storm has started it.
#[test]
#[ignore = "a storm runs this as a process of its own and kills it"]
fn serves_as_a_disk_until_it_is_killed() {
    if let Some(disk) = Disk::of_environment() {
        disk.serve();
    }
}

/// Returns a number below `end`.
fn below(random: &mut TestRng, end: u64) -> u64 {
    random.next_u64() % end
}
