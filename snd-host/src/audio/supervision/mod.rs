//! When the audio process is started, asked whether it works, and replaced.
//!
//! ```text
//!                    due (1)               ready (2)
//!        Down ─────────────────▶ Starting ───────────▶ Running
//!         ▲                         │                   │   │ every ASK_INTERVAL, with takes:
//!         │   gone, or not ready    │                   │   └─▶ asked; an answer is due within
//!         └───── in time (3) ───────┘                   │       ANSWER_TIMEOUT
//!         └───── gone, no answer, a hang or a leak (3) ─┘
//!
//! (1) Start   (2) Open for each take   (3) Lost; the delay before (1) doubles up to MAX_DELAY,
//!     unless the process was stable
//! ```
//!
//! All decisions are made from events and the time that the caller passes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use crate::limits::MAX_TAKES;
use crate::wire::{TakeId, Usage};

/// How often a process with takes is asked whether it works.
const ASK_INTERVAL: Duration = Duration::from_millis(500);

/// How long a process may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a process may take to start. GStreamer may rebuild its registry of plugins.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a take may be in a call that waits for its sink or source.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// How much longer than its audio a take may take to end.
const END_MARGIN: Duration = Duration::from_secs(5);

/// How long a process has to run until its successor is started without delay.
const STABLE_AFTER: Duration = Duration::from_secs(1);

/// The first delay after a process that was not stable, and the longest delay.
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// The largest number of threads and files of a process, whatever it does.
const MAX_THREADS: u32 = 400;
const MAX_FILES: u32 = 800;

/// The largest number of threads and files of a process without takes. Such a process is replaced
/// without harm.
const MAX_IDLE_THREADS: u32 = 64;
const MAX_IDLE_FILES: u32 = 128;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The time has come that [`Supervision::next_look`] has returned, or an earlier one.
    Look,
    /// The process is ready for takes.
    Ready,
    /// The process has answered.
    Alive(Usage),
    /// The process has ended, or cannot be started.
    Gone,
    /// The process has no room for a message that opens a take.
    Unreachable,
    /// The guest has prepared a take.
    Opened(TakeId),
    /// The take has to end within a time.
    Ending(TakeId, Duration),
    /// The process has ended a take.
    Ended(TakeId),
}

/// What has to be done, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// The process is gone or will be replaced: what it says of takes is void.
    Lost(Reason),
    /// End the process, if there is one, and start another one.
    Start,
    /// Ask the process whether it works.
    Ask,
    /// Open a take in the process, for the given number of times.
    Open(TakeId, u64),
    /// Forget a take. It has ended, or its end was lost with its process.
    Forget(TakeId),
}

/// Why a process is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Ended,
    Unreachable,
    NotReady,
    NoAnswer,
    Busy,
    NoEnd(TakeId),
    Leak(Usage),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("it has ended"),
            Self::Unreachable => f.write_str("it does not read its messages"),
            Self::NotReady => write!(f, "it was not ready within {START_TIMEOUT:?}"),
            Self::NoAnswer => write!(f, "it has not answered within {ANSWER_TIMEOUT:?}"),
            Self::Busy => write!(f, "a sink or a source has not returned within {BUSY_TIMEOUT:?}"),
            Self::NoEnd(TakeId(take)) => write!(f, "a sink or a source of take {take} does not close"),
            Self::Leak(Usage { threads, files, .. }) => {
                write!(f, "it has {threads} threads and {files} files")
            }
        }
    }
}

/// The state of the process.
#[derive(Clone, Copy, Debug)]
enum Process {
    /// No process; one is started at this time.
    Down(Instant),
    /// Started at this time, and not ready.
    Starting(Instant),
    Running {
        since: Instant,
        /// When it was asked, if it has not answered.
        asked: Option<Instant>,
        next_ask: Instant,
    },
}

/// A take that the process has, or will have once it runs.
#[derive(Clone, Copy, Debug, Default)]
struct Take {
    /// How often it was opened.
    generation: u64,
    /// When the process has to have ended it.
    end_by: Option<Instant>,
}

/// The audio process as the card sees it.
#[derive(Debug)]
pub(super) struct Supervision {
    process: Process,
    /// The delay before the next start after a process that was not stable.
    delay: Duration,
    usage: Usage,
    takes: BTreeMap<TakeId, Take>,
}

impl Supervision {
    /// Creates the state without a process. The first look starts a process.
    pub(super) const fn new(now: Instant) -> Self {
        let usage = Usage { threads: 0, files: 0, busy_ms: 0 };
        Self { process: Process::Down(now), delay: MIN_DELAY, usage, takes: BTreeMap::new() }
    }

    /// Returns whether there is room for another take.
    pub(super) fn has_room(&self) -> bool {
        self.takes.len() < MAX_TAKES
    }

    /// Returns whether no take is left.
    pub(super) fn is_idle(&self) -> bool {
        self.takes.is_empty()
    }

    /// Returns when to look again, if nothing happens before.
    pub(super) fn next_look(&self) -> Option<Instant> {
        match self.process {
            Process::Down(start) => Some(start),
            Process::Starting(since) => Some(since + START_TIMEOUT),
            Process::Running { .. } if self.is_idle() => None,
            Process::Running { asked, next_ask, .. } => {
                let ask = asked.map_or(next_ask, |asked| asked + ANSWER_TIMEOUT);
                let ends = self.takes.values().filter_map(|take| take.end_by);
                ends.chain([ask]).min()
            }
        }
    }

    /// Handles an event. Returns what has to be done.
    pub(super) fn on(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Look => self.look(now),
            Event::Ready => self.ready(now),
            Event::Alive(usage) => self.alive(usage, now),
            Event::Gone => self.lost(Reason::Ended, now),
            Event::Unreachable => self.lost(Reason::Unreachable, now),
            Event::Opened(id) => self.opened(id),
            Event::Ending(id, time) => {
                if let Some(take) = self.takes.get_mut(&id) {
                    take.end_by = Some(now + time + END_MARGIN);
                }
                self.forget_unopened()
            }
            Event::Ended(id) => self.ended(id, now),
        }
    }

    /// Replaces the process, if there is one.
    fn lost(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        match self.process {
            Process::Down(_) => Vec::new(),
            Process::Starting(_) | Process::Running { .. } => self.replace(reason, now),
        }
    }

    fn look(&mut self, now: Instant) -> Vec<Action> {
        match &mut self.process {
            Process::Down(start) if now >= *start => {
                self.process = Process::Starting(now);
                vec![Action::Start]
            }
            Process::Starting(since) if now >= *since + START_TIMEOUT => self.replace(Reason::NotReady, now),
            Process::Down(_) | Process::Starting(_) => Vec::new(),
            Process::Running { asked: Some(asked), .. } if now >= *asked + ANSWER_TIMEOUT => {
                self.replace(Reason::NoAnswer, now)
            }
            Process::Running { asked, next_ask, .. } => {
                let late = |(id, take): (&TakeId, &Take)| (take.end_by? <= now).then_some(*id);
                if let Some(id) = self.takes.iter().find_map(late) {
                    return self.replace(Reason::NoEnd(id), now);
                }
                if self.takes.is_empty() || asked.is_some() || now < *next_ask {
                    return Vec::new();
                }
                *asked = Some(now);
                vec![Action::Ask]
            }
        }
    }

    fn ready(&mut self, now: Instant) -> Vec<Action> {
        let Process::Starting(_) = self.process else { return Vec::new() };
        self.process = Process::Running { since: now, asked: None, next_ask: now + ASK_INTERVAL };
        let open = |(id, take): (&TakeId, &mut Take)| {
            take.generation += 1;
            Action::Open(*id, take.generation)
        };
        self.takes.iter_mut().map(open).collect()
    }

    fn alive(&mut self, usage: Usage, now: Instant) -> Vec<Action> {
        self.usage = usage;
        let Process::Running { asked, next_ask, .. } = &mut self.process else { return Vec::new() };
        (*asked, *next_ask) = (None, now + ASK_INTERVAL);
        if Duration::from_millis(usage.busy_ms.into()) >= BUSY_TIMEOUT {
            return self.replace(Reason::Busy, now);
        }
        if usage.threads > MAX_THREADS || usage.files > MAX_FILES {
            return self.replace(Reason::Leak(usage), now);
        }
        Vec::new()
    }

    fn opened(&mut self, id: TakeId) -> Vec<Action> {
        let take = self.takes.entry(id).or_default();
        // If the process was idle, it may be asked now. A later time would never come if takes are
        // short, and a leak would not be noticed.
        let Process::Running { .. } = self.process else { return Vec::new() };
        take.generation += 1;
        vec![Action::Open(id, take.generation)]
    }

    fn ended(&mut self, id: TakeId, now: Instant) -> Vec<Action> {
        if self.takes.remove(&id).is_none() {
            return Vec::new();
        }
        let mut actions = vec![Action::Forget(id)];
        if self.is_idle() {
            if let Process::Running { asked, .. } = &mut self.process {
                *asked = None;
            }
            let usage = self.usage;
            if usage.threads > MAX_IDLE_THREADS || usage.files > MAX_IDLE_FILES {
                self.usage = Usage::default();
                actions.extend(self.replace(Reason::Leak(usage), now));
            }
        }
        actions
    }

    /// Gives the process up, and plans the start of another one.
    fn replace(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        let stable = match self.process {
            Process::Running { since, .. } => now >= since + STABLE_AFTER,
            Process::Down(_) | Process::Starting(_) => false,
        };
        let delay = if stable { Duration::ZERO } else { self.delay };
        self.delay = if stable { MIN_DELAY } else { (self.delay * 2).min(MAX_DELAY) };
        self.process = Process::Down(now + delay);
        let mut actions = vec![Action::Lost(reason)];
        actions.extend(self.forget_unopened());
        actions.extend(self.look(now));
        actions
    }

    /// Forgets the takes that only had to end, if there is no process that could end them.
    fn forget_unopened(&mut self) -> Vec<Action> {
        if matches!(self.process, Process::Running { .. }) {
            return Vec::new();
        }
        let ending = self.takes.extract_if(.., |_, take| take.end_by.is_some());
        ending.map(|(id, _)| Action::Forget(id)).collect()
    }
}

#[cfg(test)]
mod virtual_time;
