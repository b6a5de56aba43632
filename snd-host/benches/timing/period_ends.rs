//! How evenly the guest is told that its periods have been played, independent of the sink.

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::player::{PERIOD, Player};
use crate::report::{Report, longest, percentile_99};
use crate::support::{BYTES, Daemon, Format, Guest, free_address};

/// Linux's driver reports an error if no period ends within this time.
const LINUX_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) fn measure(report: &mut Report) {
    healthy_sink(report);
    erratic_sink(report);
}

/// Plays 200 periods to a sink that keeps time.
fn healthy_sink(report: &mut Report) {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let mut player = Player::start(&mut guest);
    (0..200).for_each(|_| player.play());
    let intervals = player.ends.windows(2).map(|pair| (pair[1] - pair[0]).abs_diff(PERIOD));
    report.at_most(
        "period ends: deviation from 10 ms, 99 % of 200",
        percentile_99(intervals),
        Duration::from_millis(2),
    );
    let early = (1u32..).zip(&player.ends).map(|(periods, end)| (PERIOD * periods).saturating_sub(*end));
    report.at_most("period ends: earlier than the audio lasts, largest", longest(early), Duration::ZERO);
    let latency = player.latencies.iter().copied().max().unwrap_or_default();
    report.at_most("reported latency, largest of 200", PERIOD * latency / BYTES, PERIOD);
    player.finish();
}

/// Plays to a sink that appears late, disappears and appears again.
fn erratic_sink(report: &mut Report) {
    let address = free_address();
    let daemon = Daemon::start(&format!("tcpclientsink host=127.0.0.1 port={} sync=true", address.port()));
    let mut guest = Guest::connect(&daemon, Format::Split);
    let mut player = Player::start(&mut guest);
    for _ in 0..2 {
        (0..30).for_each(|_| player.play());
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut sink: TcpStream = player.play_until(|| listener.accept().ok()).0;
        sink.set_nonblocking(true).unwrap();
        let mut heard = vec![0; BYTES as usize];
        player.play_until(|| sink.read(&mut heard).ok().filter(|bytes| *bytes > 0));
    }
    let (first, last) = (player.ends[0], player.ends[player.ends.len() - 1]);
    let periods = u32::try_from(player.ends.len()).unwrap() - 1;
    let gap = longest(player.ends.windows(2).map(|pair| pair[1] - pair[0]));
    report.at_most("sink appears late, disappears, reappears: longest interval", gap, LINUX_TIMEOUT);
    let drift = (last - first).abs_diff(PERIOD * periods);
    report.at_most("sink appears late, disappears, reappears: drift", drift, LINUX_TIMEOUT);
}
