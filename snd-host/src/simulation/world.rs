//! A guest, a host and a sink, and what has to hold at any time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::guest::{Guest, Sent};
use super::output::{Host, Output};
use super::sink::Plan;
use crate::audio::AudioOutput as _;
use crate::pcm::Params;
use crate::pcm::tests::u8_mono;
use crate::stream::Playback;
use crate::wire::max_buffered_bytes;

/// Frames of one byte in a millisecond.
const FRAMES_PER_MS: u64 = 8;

/// How long after a disturbance playback may be late, in milliseconds.
const SETTLED: u64 = 2_000;

/// The precision of the simulated event loop, in milliseconds.
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
    /// Messages that the event loop has taken out of the queue.
    popped: u32,
    /// Whether the driver notifies of the next message.
    armed: bool,
    running: bool,
    /// When the event loop wakes.
    wakes: Option<u64>,
    /// How often the event loop has woken.
    woken: u32,
    /// How many frames the guest was told that are played.
    told: u64,
    /// When playback was last disturbed.
    disturbed: u64,
    /// When a message last came back, or the first one was sent; hold-ups and stops do not count.
    waiting: u64,
    dropped: u64,
}

/// What a scenario costs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    /// How often the event loop has woken.
    pub(super) wakes: u32,
    /// How often the thread of the take has woken.
    pub(super) feeds: u32,
    /// How many pieces of audio the last sink was given. Each piece wakes a thread.
    pub(super) pieces: u32,
}

/// Runs a scenario for a number of milliseconds.
pub(super) fn run(scenario: &Scenario, length: u64) -> Cost {
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
        popped: 0,
        armed: true,
        running: false,
        wakes: None,
        woken: 0,
        told: 0,
        disturbed: 0,
        waiting: 0,
        dropped: 0,
    };
    for now in 0..length {
        world.step(now);
    }
    let host = world.host.borrow();
    Cost { wakes: world.woken, feeds: host.woken, pieces: host.fed() }
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
            // Messages come before requests.
            self.pop(at);
            if runs {
                self.playback.start(at)
            } else {
                self.playback.stop(at)
            }
            self.disturbed = now;
            self.wakes = Some(now);
        }
        while self.sent.sends(&self.scenario.guest, now) {
            if self.sent.messages - self.sent.returned == 1 {
                (self.waiting, self.disturbed) = (now, now);
            }
            if std::mem::take(&mut self.armed) {
                self.wakes = Some(now);
            }
        }
        self.host.borrow_mut().play(now, self.scenario.jitter);
        if self.wakes.is_some_and(|wake| wake <= now) {
            self.wake(now, at);
        }
        self.check(now);
    }

    /// Takes all messages out of the queue.
    fn pop(&mut self, at: Instant) {
        while self.popped < self.sent.messages {
            self.popped += 1;
            let bytes = self.scenario.guest.period;
            let silence = |part: &mut [u8]| {
                part.fill(0x80);
                true
            };
            self.playback.accept(self.popped, bytes.into(), at, silence).unwrap();
        }
    }

    /// Does what the event loop does.
    fn wake(&mut self, now: u64, at: Instant) {
        self.woken += 1;
        self.pop(at);
        let due = self.playback.take_due(at);
        let Guest { period, periods, delay, .. } = self.scenario.guest;
        for (message, _) in &due {
            self.sent.returned += 1;
            assert_eq!(*message, self.sent.returned, "messages come back once and in order");
            self.told += u64::from(period);
            (self.waiting, self.sent.next) = (now, now + delay);
        }
        assert!(due.len() < periods as usize, "a single wake has returned a whole buffer at {now} ms");
        self.armed = !self.playback.is_supplied();
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
