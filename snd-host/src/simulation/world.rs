//! A guest, a host and a sink, and what has to hold at any time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::guest::{Guest, Sent};
use super::output::{Host, Output};
use super::sink::Plan;
use crate::audio::{AudioOutput as _, max_buffered_bytes, tick};
use crate::pcm::Params;
use crate::pcm::tests::u8_mono;
use crate::stream::Playback;

/// Frames of one byte in a millisecond.
const FRAMES_PER_MS: u64 = 8;

/// How long after a disturbance playback may be late, in milliseconds.
const SETTLED: u64 = 2_000;

/// The precision of the simulated event loop and player, in milliseconds.
const PRECISION: u64 = 10;

#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub(super) guest: Guest,
    pub(super) sink: Plan,
    /// When the process does not run, and for how long.
    pub(super) hold_ups: Vec<(u64, u64)>,
    /// The value of `--latency`.
    pub(super) latency: u64,
    /// How late the event loop wakes.
    pub(super) jitter: u64,
}

struct World<'s> {
    scenario: &'s Scenario,
    params: Params,
    epoch: Instant,
    playback: Playback<u32, Output>,
    host: Rc<RefCell<Host>>,
    sent: Sent,
    running: bool,
    /// When the event loop wakes.
    wakes: Option<u64>,
    /// How many frames the guest was told that are played.
    told: u64,
    /// When playback was last disturbed.
    disturbed: u64,
    /// When a message last came back, or the first one was sent; hold-ups and stops do not count.
    waiting: u64,
    dropped: u64,
    /// How often the thread of a take feeds its sink, in milliseconds.
    tick: u64,
}

/// Runs a scenario for a number of milliseconds.
pub(super) fn run(scenario: &Scenario, length: u64) {
    let Guest { period, periods, .. } = scenario.guest;
    let params = u8_mono(period * periods, period);
    let latency = Duration::from_millis(scenario.latency);
    let host = Rc::new(RefCell::new(Host::new(&params, latency, scenario.sink.clone())));
    let mut world = World {
        scenario,
        params,
        epoch: Instant::now(),
        playback: Playback::new(0, params, Output(host.clone())),
        host,
        sent: Sent::default(),
        running: false,
        wakes: None,
        told: 0,
        disturbed: 0,
        waiting: 0,
        dropped: 0,
        tick: u64::try_from(tick(latency).as_millis()).unwrap(),
    };
    for now in 0..length {
        world.step(now);
    }
}

impl World<'_> {
    fn step(&mut self, now: u64) {
        let held_up = self.scenario.hold_ups.iter().any(|(at, ms)| (*at..at + ms).contains(&now));
        self.host.borrow_mut().tick(now);
        if held_up {
            (self.disturbed, self.waiting) = (now, self.waiting + 1);
            return;
        }
        let at = self.epoch + Duration::from_millis(now);
        let runs = self.scenario.guest.runs(now);
        if runs != self.running {
            self.running = runs;
            if runs {
                self.playback.start(at)
            } else {
                self.playback.stop(at)
            }
            self.disturbed = now;
            self.wakes = Some(now);
        }
        while self.sent.sends(&self.scenario.guest, now) {
            let audio = vec![0x80; self.scenario.guest.period as usize];
            if self.sent.messages - self.sent.returned == 1 {
                (self.waiting, self.disturbed) = (now, now);
            }
            self.playback.accept(self.sent.messages, &audio, at).unwrap();
            self.wakes = Some(now);
        }
        if self.wakes.is_some_and(|wake| wake <= now) {
            self.wake(now, at);
        }
        if now.is_multiple_of(self.tick) {
            self.host.borrow_mut().play(now);
        }
        self.check(now);
    }

    /// Does what the event loop does.
    fn wake(&mut self, now: u64, at: Instant) {
        let due = self.playback.take_due(at);
        let Guest { period, periods, delay, .. } = self.scenario.guest;
        for (message, _) in &due {
            self.sent.returned += 1;
            assert_eq!(*message, self.sent.returned, "messages come back once and in order");
            self.told += u64::from(period);
            (self.waiting, self.sent.next) = (now, now + delay);
        }
        assert!(due.len() < periods as usize, "a single wake has returned a whole buffer at {now} ms");
        let next =
            self.playback.next_due().map(|wait| u64::try_from(wait.as_micros().div_ceil(1000)).unwrap());
        self.wakes = next.map(|wait| now + wait.max(1) + self.scenario.jitter);
    }

    fn check(&mut self, now: u64) {
        let Guest { period, .. } = self.scenario.guest;
        let pending = self.sent.messages - self.sent.returned;
        if !self.running || pending == 0 {
            self.waiting = now;
        }
        // Linux gives up if nothing comes back for this long.
        let timeout = (u64::from(self.scenario.guest.buffer()) * 11 / 10 / FRAMES_PER_MS).max(100);
        assert!(
            now - self.waiting <= timeout,
            "no message has come back for {} ms at {now} ms",
            now - self.waiting
        );

        let mut host = self.host.borrow_mut();
        let limit = max_buffered_bytes(self.params.buffer_bytes, self.params.rate);
        assert!(host.buffer.end() - host.buffer.first() <= limit, "the buffer is too large at {now} ms");
        if !host.plays(now) || pending == 0 {
            self.disturbed = now;
        }
        let audible = host.audible();
        drop(host);
        let dropped = std::mem::replace(&mut self.dropped, Output(self.host.clone()).dropped());
        if now - self.disturbed <= SETTLED {
            return;
        }
        assert_eq!(self.dropped, dropped, "frames are dropped at {now} ms although the sink keeps up");
        let Some(audible) = audible else { return };
        let late = self.told.saturating_sub(audible);
        let allowed = (self.scenario.latency + PRECISION) * FRAMES_PER_MS + u64::from(period);
        assert!(late <= allowed, "playback is {late} frames late at {now} ms, {allowed} are allowed");
    }
}
