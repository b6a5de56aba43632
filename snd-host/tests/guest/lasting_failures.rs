//! The host's audio fails again and again. The guest does not notice it, nothing is used up, and
//! audio is heard once the cause has gone.

use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use end_to_end::audio_process::limit_files;

use crate::support::{BYTES, DEADLINE, Daemon, FRAMES, Format, Guest, OK, counting_period, free_address};

/// The line of the log that names a crash of the audio process.
const CRASHED: &str = "the audio process is replaced, because it has ended";

/// A guest that plays the counting pattern on stream 0.
struct Player {
    guest: Guest,
    sent: u32,
}

impl Player {
    /// The number of messages in flight.
    const AHEAD: u32 = 8;

    fn start(daemon: &Daemon) -> Self {
        let mut guest = Guest::connect(daemon, Format::Packed);
        guest.prepare(0, Self::AHEAD);
        (0..Self::AHEAD).for_each(|index| guest.play(0, &counting_period(index)));
        guest.start(0);
        Self { guest, sent: Self::AHEAD }
    }

    /// Plays until `done` returns a value.
    fn play_until<T>(&mut self, mut done: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(value) = done() {
                return value;
            }
            assert_eq!(self.guest.played().status, OK);
            self.guest.play(0, &counting_period(self.sent));
            self.sent += 1;
        }
    }
}

const SECONDS_OF_A_DAY: f64 = 86_400.0;

/// Returns when a line was logged, in seconds since midnight.
///
/// The time at which this process reads a line says less, because a busy machine may hold this
/// process up.
fn logged_at(line: &str) -> f64 {
    let time = line.split_once('T').and_then(|(_, rest)| rest.split_once('Z')).expect("a line has a time").0;
    time.split(':').fold(0.0, |before, part| before * 60.0 + part.parse::<f64>().expect("a number"))
}

/// Waits until `done` returns true, which depends on what another process writes.
fn wait_until(done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < DEADLINE, "nothing has happened within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The sink crashes, because the kernel ends a process that writes too much to a file (SIGXFSZ).
/// Each process but the first crashes at its first write.
#[test]
fn an_audio_process_that_crashes_on_and_on_is_started_ever_less_often() {
    const CRASHES: usize = 6;
    const LIMIT: u64 = 100 * BYTES as u64;
    let sink = "filesink location={}/out append=true sync=true buffer-mode=unbuffered";
    let daemon = Daemon::start(sink);
    limit_files(daemon.id(), Some(LIMIT)).unwrap();
    let out = daemon.path("out");
    let size = || fs::metadata(&out).map_or(0, |file| file.len());
    let mut player = Player::start(&daemon);
    // The sink writes less than the limit, because the guest sends no more messages meanwhile.
    wait_until(|| size() > 0);
    let before = daemon.card_usage();
    let mut crashes = Vec::new();
    player.play_until(|| {
        crashes
            .extend(daemon.logged().iter().filter(|line| line.contains(CRASHED)).map(|line| logged_at(line)));
        (crashes.len() >= CRASHES).then_some(())
    });
    let took = (crashes[CRASHES - 1] - crashes[0]).rem_euclid(SECONDS_OF_A_DAY);
    println!("{} crashes within {took} s", CRASHES - 1);
    // A process that was stable for a second is replaced at once, any other after a delay, which
    // doubles from a tenth of a second on: 1.5 s in all. The first log line may be late.
    assert!((1.0..3600.0).contains(&took), "{took} s");

    // Without the limit, the next process can write.
    assert_eq!(size(), LIMIT);
    limit_files(daemon.id(), None).unwrap();
    File::options().write(true).open(&out).unwrap().set_len(0).unwrap();
    player.play_until(|| (size() > 0).then_some(()));
    let after = daemon.card_usage();
    assert_eq!((before.files, before.threads), (after.files, after.threads));
    player.guest.finish(0);
}

/// Prepares and releases a stream of each direction `rounds` times.
fn prepare_and_release(guest: &mut Guest, rounds: u32) {
    for _ in 0..rounds {
        for stream in [0, 1] {
            guest.prepare(stream, 2);
        }
        // The first message opens the sink or the source.
        guest.play(0, &counting_period(0));
        guest.record(1, BYTES);
        guest.release(0);
        guest.release(1);
        assert_eq!(guest.played().status, OK);
        assert_eq!(guest.recorded().status, OK);
    }
}

/// Each attempt of `pulsesrc` and of `pulsesink` that fails leaves threads and files behind in
/// GStreamer, so the audio process is replaced when it has too many.
#[test]
fn two_thousand_rounds_without_a_sound_server_use_nothing_up() {
    const ROUNDS: u32 = 2_000;
    let daemon = Daemon::start_with(&[
        "--sink",
        "pulsesink server=unix:/no/such/server",
        "--source",
        "pulsesrc server=unix:/no/such/server",
    ]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    prepare_and_release(&mut guest, 20);
    daemon.wait_until_takes_are_closed();
    let (card, before) = (daemon.card_usage(), daemon.usage());
    prepare_and_release(&mut guest, ROUNDS);
    daemon.wait_until_takes_are_closed();
    let (after, all) = (daemon.card_usage(), daemon.usage());
    println!("before {ROUNDS} rounds {before:?}, after them {all:?}");
    assert_eq!((after.files, after.threads), (card.files, card.threads));
    // The audio process is asked every 500 ms. It may leak more than its limits until then.
    assert!(all.threads < after.threads + 2 * 64, "{all:?}");
    assert!(all.files < after.files + 2 * 128, "{all:?}");
}

#[test]
fn sound_is_heard_when_the_server_starts_after_two_thousand_rounds() {
    const ROUNDS: u32 = 2_000;
    let address = free_address();
    let daemon = Daemon::start(&format!("tcpclientsink host=127.0.0.1 port={}", address.port()));
    let mut guest = Guest::connect(&daemon, Format::Split);
    prepare_and_release(&mut guest, ROUNDS);
    drop(guest);
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut player = Player::start(&daemon);
    let mut sink = player.play_until(|| listener.accept().ok()).0;
    sink.set_nonblocking(true).unwrap();
    let mut heard = [0; 4 * FRAMES as usize];
    player.play_until(|| sink.read(&mut heard).ok().filter(|bytes| *bytes > 0));
    println!("heard within {} periods of 10 ms, with the server started before", player.sent);
    player.guest.finish(0);
}
