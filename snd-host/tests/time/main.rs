//! What happens in time. This is a program of its own because nothing else runs beside it.

mod completions;
mod delay;
mod player;
mod recordings;
mod start;
#[expect(dead_code, unused_imports, reason = "the other test program needs the rest")]
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

/// How often something is measured: other work of the machine may come between what happens and its being noticed.
const ATTEMPTS: usize = 20;

/// Measures until a measurement is good.
fn good_once<T: std::fmt::Debug>(mut measure: impl FnMut() -> T, good: impl Fn(&T) -> bool) {
    let mut measured = (0..ATTEMPTS).map(|_| measure()).inspect(|it| eprintln!("measured: {it:?}"));
    assert!(measured.any(|it| good(&it)), "none of {ATTEMPTS} measurements is good");
}

/// The largest of `durations` but for one of a hundred.
fn percentile_99(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut durations: Vec<Duration> = durations.collect();
    durations.sort();
    durations[(durations.len() - 1) * 99 / 100]
}
