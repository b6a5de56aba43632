//! How often the threads of the daemon wake while a guest plays or records 100 periods a second.

use std::collections::HashMap;
use std::time::Instant;

use crate::report::Report;
use crate::support::{BYTES, Daemon, FRAMES, Format, Guest, OK, counting};

/// The number of periods in a measurement.
const PERIODS: u32 = 500;
/// The target, for 100 periods a second.
const TARGET: u32 = 250;

pub(crate) fn measure(report: &mut Report) {
    let daemon =
        Daemon::start_with(&["--sink", "fakesink sync=true", "--source", "audiotestsrc is-live=true"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    report.rate("wake-ups a second, fakesink, 4 periods in flight", played(&daemon, &mut guest, 4), TARGET);
    report.rate("wake-ups a second, fakesink, 16 periods in flight", played(&daemon, &mut guest, 16), TARGET);
    report.rate("wake-ups a second, recording from audiotestsrc", recorded(&daemon, &mut guest), TARGET);
}

/// Plays with `ahead` periods in flight, and returns how many wake-ups a second that takes.
fn played(daemon: &Daemon, guest: &mut Guest, ahead: u32) -> u32 {
    let play = |guest: &mut Guest| {
        assert_eq!(guest.played().status, OK);
        guest.play(0, &counting(0..FRAMES));
    };
    guest.prepare(0, ahead);
    (0..ahead).for_each(|_| guest.play(0, &counting(0..FRAMES)));
    guest.start(0);
    let rate = rate(daemon, || play(guest));
    guest.finish(0);
    (0..ahead).for_each(|_| assert_eq!(guest.played().status, OK));
    daemon.settled();
    rate
}

/// Records with 8 periods in flight, and returns how many wake-ups a second that takes.
fn recorded(daemon: &Daemon, guest: &mut Guest) -> u32 {
    let record = |guest: &mut Guest| {
        assert_eq!(guest.recorded().status, OK);
        guest.record(1, BYTES);
    };
    guest.prepare(1, 8);
    (0..8).for_each(|_| guest.record(1, BYTES));
    guest.start(1);
    let rate = rate(daemon, || record(guest));
    guest.finish(1);
    rate
}

/// Runs `period` until the stream is steady, and then [`PERIODS`] times. Returns the number of
/// wake-ups a second during these periods. A wake-up is a voluntary context switch of a thread.
fn rate(daemon: &Daemon, mut period: impl FnMut()) -> u32 {
    (0..100).for_each(|_| period());
    let (before, start) = (switches(daemon), Instant::now());
    (0..PERIODS).for_each(|_| period());
    let (after, time) = (switches(daemon), start.elapsed());
    let mut all = 0;
    for (thread, (name, count)) in after {
        let woken = count - before.get(&thread).map_or(0, |(_, before)| *before);
        if woken > 0 {
            eprintln!("  {name}: {:.0} a second", f64::from(woken) / time.as_secs_f64());
        }
        all += woken;
    }
    let hundredths = u32::try_from(time.as_millis() / 10).unwrap();
    all * 100 / hundredths
}

/// Returns the name and the number of voluntary context switches of each thread, by thread id.
fn switches(daemon: &Daemon) -> HashMap<String, (String, u32)> {
    let field = |status: &str, name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
    };
    let threads = daemon.threads();
    let count = |status: &String| field(status, "voluntary_ctxt_switches:").parse().unwrap();
    threads.iter().map(|status| (field(status, "Pid:"), (field(status, "Name:"), count(status)))).collect()
}
