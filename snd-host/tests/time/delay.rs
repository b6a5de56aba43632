//! What the guest is told to be behind is what is behind.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::player::{PERIOD, Player};
use crate::support::{Daemon, FRAMES, Format, Guest};
use crate::{good_once, percentile_99};
use rustix::fs::{CWD, Mode, mkfifoat};

const RATE: f64 = 48_000.0;

/// Some audio, and when its first frame was heard.
struct Piece {
    at: Instant,
    /// The number of its first frame, and of the one after its last.
    first: f64,
    end: f64,
}

/// Plays what is written to a FIFO, until it is closed: GStreamer writes each piece when its first frame is due.
fn play_out(fifo: PathBuf) -> JoinHandle<Vec<Piece>> {
    thread::spawn(move || {
        let mut fifo = File::open(fifo).unwrap();
        let (mut pieces, mut first, mut bytes) = (Vec::new(), 0.0, vec![0; 1 << 16]);
        loop {
            let frames = fifo.read(&mut bytes).unwrap() / 4;
            if frames == 0 {
                return pieces;
            }
            let end = first + frames as f64;
            pieces.push(Piece { at: Instant::now(), first, end });
            first = end;
        }
    })
}

/// How many frames had been heard at some time.
fn heard(pieces: &[Piece], at: Instant) -> f64 {
    let begun = pieces.iter().rfind(|piece| piece.at <= at);
    begun.map_or(0.0, |piece| (piece.first + (at - piece.at).as_secs_f64() * RATE).min(piece.end))
}

/// How wrong the guest was told how far it is behind, after two hundred periods with some interruptions.
fn error() -> Duration {
    let daemon = Daemon::start("filesink location={}/fifo sync=true buffer-mode=unbuffered");
    let fifo = daemon.path("fifo");
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).unwrap();
    let playing = play_out(fifo);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let mut player = Player::start(&mut guest);
    for _ in 0..4 {
        (0..46).for_each(|_| player.play());
        player.run_dry();
    }
    let (start, over, latencies) = (player.start, player.over.clone(), player.latencies.clone());
    player.end();
    daemon.end();
    let pieces = playing.join().unwrap();
    let errors = (1u32..).zip(over).zip(latencies).map(|((periods, over), latency_bytes)| {
        let told = f64::from(latency_bytes) / 4.0;
        let true_one = f64::from(periods * FRAMES) - heard(&pieces, start + over);
        Duration::from_secs_f64((told - true_one).abs() / RATE)
    });
    percentile_99(errors)
}

#[test]
fn the_delay_that_a_guest_is_told_is_within_a_period_of_the_true_one() {
    good_once(error, |error| *error < PERIOD);
}
