//! A stream that plays continuously and notes when its periods end.

use std::time::{Duration, Instant};

use crate::support::{DEADLINE, FRAMES, Guest, OK, Played, counting};

/// The length of a period.
pub(crate) const PERIOD: Duration = Duration::from_millis(10);

/// The number of periods in flight, unless the caller chooses it.
const AHEAD: u32 = 4;

/// A stream that plays.
pub(crate) struct Player<'a> {
    guest: &'a mut Guest,
    /// The number of periods in flight.
    ahead: u32,
    /// The time at which the stream was started.
    pub(crate) start: Instant,
    /// The end of each period, as the time since the start.
    pub(crate) ends: Vec<Duration>,
    /// The latency that the guest was told at the end of each period, in bytes.
    pub(crate) latencies: Vec<u32>,
}

impl<'a> Player<'a> {
    /// Prepares stream 0 and starts it with four periods in flight.
    pub(crate) fn start(guest: &'a mut Guest) -> Self {
        Self::start_with(guest, AHEAD)
    }

    /// Prepares stream 0 and starts it with `ahead` periods in flight.
    pub(crate) fn start_with(guest: &'a mut Guest, ahead: u32) -> Self {
        guest.prepare(0, ahead);
        (0..ahead).for_each(|_| guest.play(0, &counting(0..FRAMES)));
        let start = Instant::now();
        guest.start(0);
        Self { guest, ahead, start, ends: Vec::new(), latencies: Vec::new() }
    }

    /// Waits for the end of a period and plays another period.
    pub(crate) fn play(&mut self) {
        self.wait();
        self.guest.play(0, &counting(0..FRAMES));
    }

    /// Lets the stream run empty before it gets more audio, so that the sink has to start again.
    pub(crate) fn run_dry(&mut self) {
        (0..self.ahead).for_each(|_| self.wait());
        (0..self.ahead).for_each(|_| self.guest.play(0, &counting(0..FRAMES)));
    }

    /// Plays until `happened` returns a value.
    pub(crate) fn play_until<T>(&mut self, mut happened: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            self.play();
            if let Some(value) = happened() {
                return value;
            }
        }
        panic!("the expected event has not happened within {DEADLINE:?}");
    }

    /// Stops and releases the stream while periods are in flight, and takes them back.
    pub(crate) fn finish(self) {
        self.guest.finish(0);
        (0..self.ahead).for_each(|_| assert_eq!(self.guest.played().status, OK));
    }

    /// Waits for the end of a period.
    fn wait(&mut self) {
        let Played { status, latency_bytes, .. } = self.guest.played();
        self.ends.push(self.start.elapsed());
        self.latencies.push(latency_bytes);
        assert_eq!(status, OK);
    }
}
