//! Whatever the sink does, the guest hears of its audio's progress in time.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::{Daemon, Format, Guest, Played, counting, set_params, words};
use snd_host::spec::{Status, request};

/// A period of 10 ms.
const PERIOD: Duration = Duration::from_millis(10);
const FRAMES: u32 = 480;
const BYTES: u32 = FRAMES * 4;

/// How many periods are on their way.
const AHEAD: u32 = 4;

/// A stream that plays on and on.
struct Player<'a> {
    guest: &'a mut Guest,
    start: Instant,
    /// When each period was over.
    over: Vec<Duration>,
    latencies: Vec<u32>,
}

impl<'a> Player<'a> {
    fn start(guest: &'a mut Guest) -> Self {
        guest.must(&set_params(AHEAD * BYTES, BYTES));
        guest.must(&words(&[request::PCM_PREPARE, 0]));
        (0..AHEAD).for_each(|_| guest.play(0, &counting(0..FRAMES)));
        guest.must(&words(&[request::PCM_START, 0]));
        Self { guest, start: Instant::now(), over: Vec::new(), latencies: Vec::new() }
    }

    /// Plays one more period.
    fn play(&mut self) {
        let Played { status, latency_bytes, .. } = self.guest.played();
        assert_eq!(status, Status::Ok as u32);
        self.over.push(self.start.elapsed());
        self.latencies.push(latency_bytes);
        self.guest.play(0, &counting(0..FRAMES));
    }

    /// Plays until something has happened.
    fn play_until<T>(&mut self, mut happened: impl FnMut() -> Option<T>) -> T {
        for _ in 0..1000 {
            self.play();
            if let Some(it) = happened() {
                return it;
            }
        }
        panic!("it has not happened in ten seconds");
    }

    /// How far the intervals between periods were from 10 ms: all but so many of a hundred were not farther.
    fn deviation(&self, percent: usize) -> Duration {
        let intervals = self.over.windows(2).map(|pair| pair[1] - pair[0]);
        let mut deviations: Vec<Duration> = intervals.map(|interval| interval.abs_diff(PERIOD)).collect();
        deviations.sort();
        deviations[(deviations.len() - 1) * percent / 100]
    }
}

#[test]
fn periods_are_over_every_ten_milliseconds_and_what_is_not_heard_yet_is_less_than_one() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    // Other work of the machine may be in the way of one of them.
    let runs: Vec<(Duration, u32)> = (0..5)
        .map(|_| {
            let mut player = Player::start(&mut guest);
            (0..200).for_each(|_| player.play());
            let measured = (player.deviation(99), player.latencies.iter().copied().max().unwrap());
            guest.must(&words(&[request::PCM_STOP, 0]));
            guest.must(&words(&[request::PCM_RELEASE, 0]));
            (0..AHEAD).for_each(|_| assert_eq!(guest.played().status, Status::Ok as u32));
            measured
        })
        .collect();
    eprintln!("{runs:?}");
    assert!(
        runs.iter().any(|(deviation, latency)| *deviation < Duration::from_millis(2) && *latency <= BYTES),
        "{runs:?}"
    );
}

#[test]
fn a_sink_that_comes_late_goes_and_comes_back_is_used_while_the_guest_plays_on() {
    // The port is free, or was a moment ago.
    let address = {
        let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let sink = format!("tcpclientsink host=127.0.0.1 port={} sync=true", address.port());
    let daemon = Daemon::start(&sink);
    let mut guest = Guest::connect(&daemon, Format::Split);
    let mut player = Player::start(&mut guest);
    for _ in 0..2 {
        // There is no sink.
        (0..30).for_each(|_| player.play());
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut sink: TcpStream = player.play_until(|| listener.accept().ok()).0;
        sink.set_nonblocking(true).unwrap();
        let mut heard = vec![0; BYTES as usize];
        player.play_until(|| sink.read(&mut heard).ok().filter(|bytes| *bytes > 0));
    }
    let (first, last) = (player.over[0], player.over[player.over.len() - 1]);
    let periods = u32::try_from(player.over.len()).unwrap() - 1;
    let gap = player.over.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    // Linux gives up after a tenth of a second.
    assert!(gap < Duration::from_millis(100), "nothing for {gap:?}");
    assert!((last - first).abs_diff(PERIOD * periods) < Duration::from_millis(100), "{:?}", last - first);
}
