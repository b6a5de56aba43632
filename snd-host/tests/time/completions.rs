//! Whatever the sink does, the guest hears of its audio's progress in time.

use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use crate::player::{PERIOD, Player};
use crate::support::{BYTES, Daemon, Format, Guest};
use crate::{good_once, percentile_99};

#[test]
fn periods_are_over_every_ten_milliseconds_and_what_is_not_heard_yet_is_less_than_one() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let deviation_and_latency = || {
        let mut player = Player::start(&mut guest);
        (0..200).for_each(|_| player.play());
        let intervals = player.over.windows(2).map(|pair| pair[1] - pair[0]);
        let deviation = percentile_99(intervals.map(|interval| interval.abs_diff(PERIOD)));
        let latency = player.latencies.iter().copied().max();
        player.end();
        (deviation, latency)
    };
    good_once(deviation_and_latency, |(deviation, latency)| {
        *deviation < Duration::from_millis(2) && *latency <= Some(BYTES)
    });
}

/// Plays to a sink that comes late, goes, and comes back. Returns the longest time for which no period was over, and
/// by how much all of them together were too early or too late.
fn gap_and_drift() -> (Duration, Duration) {
    // The port is free, or was a moment ago.
    let address = {
        let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let sink = format!("tcpclientsink host=127.0.0.1 port={} sync=true", address.port());
    let daemon = Daemon::start(&sink);
    let mut guest = Guest::connect(&daemon, Format::Split);
    let mut player = Player::start(&mut guest);
    for _ in 0..2 {
        // There is no sink.
        (0..30).for_each(|_| player.play());
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut sink: TcpStream = player.play_until(|| listener.accept().ok()).0;
        sink.set_nonblocking(true).unwrap();
        let mut heard = vec![0; BYTES as usize];
        player.play_until(|| sink.read(&mut heard).ok().filter(|bytes| *bytes > 0));
    }
    let (first, last) = (player.over[0], player.over[player.over.len() - 1]);
    let periods = u32::try_from(player.over.len()).unwrap() - 1;
    let gap = player.over.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    (gap, (last - first).abs_diff(PERIOD * periods))
}

#[test]
fn a_sink_that_comes_late_goes_and_comes_back_is_used_while_the_guest_plays_on() {
    // Linux gives up after a tenth of a second.
    let limit = Duration::from_millis(100);
    good_once(gap_and_drift, |(gap, drift)| *gap < limit && *drift < limit);
}
