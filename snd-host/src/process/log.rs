//! The log, with a limit for each of its lines.
//!
//! A guest that plays and stops without end, or repeats a mistake, causes the same lines over and
//! over. Each line of the source may log a number of times a minute; lines of the levels debug and
//! trace, which are logged on request only, are not limited.

use std::collections::HashMap;
use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// How often each line may be logged in a [`WINDOW`].
const LIMIT: u32 = 60;

const WINDOW: Duration = Duration::from_secs(60);

/// Starts to log on standard error what `filter` selects.
pub fn init(filter: &str) {
    let filter = EnvFilter::new(filter);
    let colours = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colours);
    // Otherwise `eprintln!` reports a failed write, and panics if standard error is closed.
    let lines = lines.log_internal_errors(false);
    tracing_subscriber::registry().with(lines).with(LogLimit::default()).with(filter).init();
}

/// A layer that drops lines beyond the limit.
#[derive(Debug, Default)]
struct LogLimit {
    lines: Mutex<HashMap<Identifier, Line>>,
}

/// How often a line was logged.
#[derive(Debug)]
struct Line {
    /// When the window has begun.
    since: Instant,
    logged: u32,
    /// How often the line was dropped since it was last logged.
    dropped: u64,
}

/// Whether a line is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// The line is logged, after this number of lines that were dropped.
    Logged {
        dropped: u64,
    },
    Dropped,
}

impl Line {
    const fn new(now: Instant) -> Self {
        Self { since: now, logged: 0, dropped: 0 }
    }

    fn log(&mut self, now: Instant) -> Verdict {
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.logged) = (now, 0);
        }
        if self.logged == LIMIT {
            self.dropped += 1;
            return Verdict::Dropped;
        }
        self.logged += 1;
        Verdict::Logged { dropped: std::mem::take(&mut self.dropped) }
    }
}

impl<S: Subscriber> Layer<S> for LogLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO {
            return true;
        }
        let now = Instant::now();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = lines.entry(metadata.callsite()).or_insert_with(|| Line::new(now)).log(now);
        // The warning comes here as well.
        drop(lines);
        match verdict {
            Verdict::Logged { dropped: 0 } => true,
            Verdict::Logged { dropped } => {
                warn!("{dropped} lines like the next one were not logged");
                true
            }
            Verdict::Dropped => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_logged_up_to_the_limit_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut line = Line::new(start);
        for window in 0..3u32 {
            let now = start + WINDOW * window;
            let dropped = if window == 0 { 0 } else { 40 };
            assert_eq!(line.log(now), Verdict::Logged { dropped });
            (1..LIMIT).for_each(|_| assert_eq!(line.log(now), Verdict::Logged { dropped: 0 }));
            (0..40).for_each(|_| assert_eq!(line.log(now + WINDOW / 2), Verdict::Dropped));
        }
    }
}
