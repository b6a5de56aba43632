//! A guest that plays on and on, and notes what it is told.

use std::time::{Duration, Instant};

use crate::support::{FRAMES, Guest, OK, Played, counting};

/// How long a period is.
pub(crate) const PERIOD: Duration = Duration::from_millis(10);

/// How many periods are on their way.
const AHEAD: u32 = 4;

/// A stream that plays.
pub(crate) struct Player<'a> {
    guest: &'a mut Guest,
    /// When it started.
    pub(crate) start: Instant,
    /// When, after that, each period was over.
    pub(crate) over: Vec<Duration>,
    /// How many bytes the guest was told to be behind then.
    pub(crate) latencies: Vec<u32>,
}

impl<'a> Player<'a> {
    pub(crate) fn start(guest: &'a mut Guest) -> Self {
        guest.prepare(0, AHEAD);
        (0..AHEAD).for_each(|_| guest.play(0, &counting(0..FRAMES)));
        guest.start(0);
        Self { guest, start: Instant::now(), over: Vec::new(), latencies: Vec::new() }
    }

    /// Plays one more period.
    pub(crate) fn play(&mut self) {
        self.wait();
        self.guest.play(0, &counting(0..FRAMES));
    }

    /// Plays all there is before there is more, so that the sink has to start anew.
    pub(crate) fn run_dry(&mut self) {
        (0..AHEAD).for_each(|_| self.wait());
        (0..AHEAD).for_each(|_| self.guest.play(0, &counting(0..FRAMES)));
    }

    /// Plays until something has happened.
    pub(crate) fn play_until<T>(&mut self, mut happened: impl FnMut() -> Option<T>) -> T {
        for _ in 0..1000 {
            self.play();
            if let Some(it) = happened() {
                return it;
            }
        }
        panic!("it has not happened in ten seconds");
    }

    /// Ends, in the middle of what is on its way.
    pub(crate) fn end(self) {
        self.guest.finish(0);
        (0..AHEAD).for_each(|_| assert_eq!(self.guest.played().status, OK));
    }

    /// Waits until a period is over.
    fn wait(&mut self) {
        let Played { status, latency_bytes, .. } = self.guest.played();
        self.over.push(self.start.elapsed());
        self.latencies.push(latency_bytes);
        assert_eq!(status, OK);
    }
}
