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

/// The number of frames in a millisecond. A frame has one byte.
const FRAMES_PER_MS: u64 = 8;

/// How long after a disturbance playback may be late, in milliseconds.
const SETTLED: u64 = 2_000;

/// By how much the delay that the guest is told may be wrong, in milliseconds.
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
    /// The virtual time.
    pub(super) length: u64,
}

impl Scenario {
    /// Moves what happens into the virtual time.
    pub(super) fn fit(&mut self) {
        let begins = self.hold_ups.iter_mut().map(|(at, _)| at);
        let faults = self.sink.faults.iter_mut().map(|fault| &mut fault.at);
        begins.chain(faults).for_each(|at| *at %= self.length);
    }

    /// Returns until when the process does not run; `None` if it runs.
    fn held_up(&self, now: u64) -> Option<u64> {
        let ends = self.hold_ups.iter().filter(|(at, ms)| (*at..at + ms).contains(&now));
        ends.map(|(at, ms)| at + ms).max()
    }
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
    /// When playback was last disturbed, and whether it still is.
    disturbed: u64,
    is_disturbed: bool,
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

/// Runs a scenario.
pub(super) fn run(scenario: &Scenario) -> Cost {
    let mut world = World::new(scenario);
    let mut now = 0;
    while now < scenario.length {
        world.step(now);
        now = world.next(now);
    }
    let host = world.host.borrow();
    Cost { wakes: world.woken, feeds: host.woken, pieces: host.fed() }
}

impl<'s> World<'s> {
    fn new(scenario: &'s Scenario) -> Self {
        let Guest { period, periods, .. } = scenario.guest;
        let params = u8_mono(period * periods, period);
        let (latency, epoch) = (Duration::from_millis(scenario.latency), Instant::now());
        let host = Host::new(&params, latency, scenario.sink.clone(), epoch);
        let host = Rc::new(RefCell::new(host));
        Self {
            scenario,
            params,
            epoch,
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
            is_disturbed: true,
            waiting: 0,
            dropped: 0,
        }
    }

    /// Returns when something happens next, after `now`.
    fn next(&self, now: u64) -> u64 {
        let Scenario { guest, hold_ups, length, .. } = self.scenario;
        let sink = self.host.borrow().next();
        let begins = hold_ups.iter().map(|(at, _)| *at).filter(|at| *at > now).min();
        if let Some(ends) = self.scenario.held_up(now) {
            // Only the sink moves.
            return [Some(ends), begins, sink].into_iter().flatten().min().unwrap_or(ends);
        }
        let wakes = self.wakes.map(|wakes| wakes.max(now + 1));
        let sends = self.sent.next(guest, now);
        let all = [begins, sink, wakes, sends, guest.next_change(now)];
        all.into_iter().flatten().min().unwrap_or(*length)
    }

    fn step(&mut self, now: u64) {
        if now > 0 {
            self.host.borrow_mut().advance(now);
        }
        if self.is_disturbed {
            self.disturbed = now;
        }
        if let Some(ends) = self.scenario.held_up(now) {
            // The time does not count for the guest either.
            let ends = self.next(now).min(ends);
            (self.is_disturbed, self.waiting) = (true, self.waiting + ends - now);
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
            (self.disturbed, self.waiting) = (now, now);
            self.wakes = Some(now);
        }
        self.send(now);
        self.host.borrow_mut().play(now, self.scenario.jitter);
        if self.wakes.is_some_and(|wake| wake <= now) {
            self.wake(now, at);
        }
        self.check(now);
    }

    /// Does what the guest does.
    fn send(&mut self, now: u64) {
        while self.sent.sends(&self.scenario.guest, now) {
            if self.sent.messages - self.sent.returned == 1 {
                (self.waiting, self.disturbed) = (now, now);
            }
            if std::mem::take(&mut self.armed) {
                self.wakes = Some(now);
            }
        }
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
        for (message, delay_told) in &due {
            self.sent.returned += 1;
            assert_eq!(*message, self.sent.returned, "messages come back once and in order");
            self.told += u64::from(period);
            self.check_delay(now, (*delay_told).into());
            (self.waiting, self.sent.not_before) = (now, now + delay);
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

        let host = self.host.borrow();
        let limit = max_buffered_bytes(self.params.buffer_bytes, self.params.rate);
        assert!(host.buffer.end() - host.buffer.first() <= limit, "the buffer is too large at {now} ms");
        self.is_disturbed = !host.plays(now) || pending == 0;
        drop(host);
        if self.is_disturbed {
            self.disturbed = now;
        }
        let dropped = std::mem::replace(&mut self.dropped, Output(self.host.clone()).dropped());
        if now - self.disturbed <= SETTLED {
            return;
        }
        assert_eq!(self.dropped, dropped, "frames are dropped at {now} ms although the sink keeps up");
        let Some(audible) = self.host.borrow().audible() else { return };
        let late = self.told.saturating_sub(audible);
        let allowed = (self.scenario.latency + self.scenario.jitter + 1) * FRAMES_PER_MS + u64::from(period);
        assert!(late <= allowed, "playback is {late} frames late at {now} ms, {allowed} are allowed");
    }

    /// Checks the delay that the guest is told with the end of the audio up to `told`.
    fn check_delay(&self, now: u64, delay: u64) {
        if self.is_disturbed || now - self.disturbed <= SETTLED {
            return;
        }
        let Some(audible) = self.host.borrow().audible() else { return };
        let real = self.told.saturating_sub(audible);
        assert!(
            delay.abs_diff(real) <= PRECISION * FRAMES_PER_MS,
            "the guest is told {delay} frames at {now} ms, and the delay is {real}"
        );
    }
}
