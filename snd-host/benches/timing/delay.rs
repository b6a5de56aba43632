//! The difference between the latency that the guest is told and the true latency.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::player::{PERIOD, Player};
use crate::report::{Report, percentile_99};
use crate::support::{Daemon, FRAMES, Format, Guest};

const RATE: f64 = 48_000.0;

pub(crate) fn measure(report: &mut Report) {
    report.at_most("reported latency: error, 99 % of 200", error(), PERIOD);
}

/// Consecutive frames, and the time at which the first frame was heard.
struct Piece {
    at: Instant,
    /// The number of the first frame.
    first: f64,
    /// The number of the last frame, plus one.
    end: f64,
}

/// Reads a FIFO until it is closed. GStreamer writes each piece when its first frame is due.
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

/// Returns the number of frames that had been heard at the time `at`.
fn heard(pieces: &[Piece], at: Instant) -> f64 {
    let begun = pieces.iter().rfind(|piece| piece.at <= at);
    begun.map_or(0.0, |piece| (piece.first + (at - piece.at).as_secs_f64() * RATE).min(piece.end))
}

/// Returns the error of the reported latency over 200 periods with four underruns.
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
    let (start, ends, latencies) = (player.start, player.ends.clone(), player.latencies.clone());
    player.finish();
    daemon.end();
    let pieces = playing.join().unwrap();
    let errors = (1u32..).zip(ends).zip(latencies).map(|((periods, end), latency_bytes)| {
        let reported = f64::from(latency_bytes) / 4.0;
        let real = f64::from(periods * FRAMES) - heard(&pieces, start + end);
        Duration::from_secs_f64((reported - real).abs() / RATE)
    });
    percentile_99(errors)
}
