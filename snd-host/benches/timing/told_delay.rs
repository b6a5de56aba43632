//! The delay that a guest is told in the third second of playback.
//!
//! The variable `SND_HOST_SINKS` names other sinks, such as `PulseAudio=pulse PipeWire=pipewire`;
//! their sound servers have to run. Each sink is measured twice: without a load of this program,
//! and beside two busy loops.

use std::env;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::player::{PERIOD, Player};
use crate::report::Report;
use crate::support::{BYTES, Daemon, Format, Guest};

/// The value of `--latency`, which is the default.
const LATENCY: Duration = Duration::from_millis(40);

/// The variable that names sinks.
const SINKS: &str = "SND_HOST_SINKS";

/// A sink that needs no sound server.
const DEFAULT: &str = "fakesink";

/// The number of periods before the delay is looked at, and the number of periods then.
const BEFORE: usize = 200;
const MEASURED: usize = 100;

/// The number of periods in the buffer of the guest, which the queue has room for. They last four
/// times as long as `--latency`.
const PERIODS: u32 = 16;

/// Returns whether sinks are named, so that only they are measured.
pub(crate) fn is_chosen() -> bool {
    env::var_os(SINKS).is_some()
}

pub(crate) fn measure(report: &mut Report) {
    let sinks = env::var(SINKS);
    for entry in sinks.as_deref().unwrap_or(DEFAULT).split_whitespace() {
        let (name, sink) = entry.split_once('=').unwrap_or((entry, "fakesink sync=true"));
        let row = |beside| format!("delay told after 2 s: {name}{beside}, largest of 100");
        report.at_most(row(""), told(sink), LATENCY + PERIOD);
        let busy = AtomicBool::new(true);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while busy.load(Ordering::Relaxed) {
                        spin_loop();
                    }
                });
            }
            report.at_most(row(", two busy loops"), told(sink), LATENCY + PERIOD);
            busy.store(false, Ordering::Relaxed);
        });
    }
}

/// Returns the largest delay that a guest is told in the third second.
fn told(sink: &str) -> Duration {
    let daemon = Daemon::start_with(&["--sink", sink]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let mut player = Player::start_with(&mut guest, PERIODS);
    (0..BEFORE + MEASURED).for_each(|_| player.play());
    let latency = player.latencies[BEFORE..].iter().copied().max().unwrap_or_default();
    player.finish();
    PERIOD * latency / BYTES
}
