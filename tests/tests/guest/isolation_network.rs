//! DPDK's network driver exchanges packets with DPDK's network card through isolation-host.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{Profile, program};
use end_to_end::forwarding::start_forwarder;
use end_to_end::playback::Ring;
use end_to_end::testpmd::Testpmd;

/// The number of packets in both directions together.
const PACKETS: u64 = 10_000_000;
/// The time for one circulation. An idle machine needs a tenth of it.
const WITHIN: Duration = Duration::from_secs(120);

#[test]
fn each_of_ten_million_packets_arrives_once_over_any_two_ring_formats() -> Result<(), Box<dyn Error>> {
    let rings = [Ring::Split, Ring::Packed];
    for (driver, card) in rings.into_iter().flat_map(|driver| rings.map(|card| (driver, card))) {
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("card.sock");
        let mut testpmd = Testpmd::start(&socket)?;
        let ring = card.to_string();
        // Driver and card poll, so a notification costs them more than a packet.
        let options = ["--device", "net", "--ring", &ring, "--poll-us", "50", "--log", "debug"];
        let mut forwarder = start_forwarder(
            &program("isolation-host", Profile::Release)?,
            directory.path(),
            &socket,
            &options,
        )?;
        testpmd.connect_driver(forwarder.socket(), driver)?;
        let circulation = testpmd
            .circulate(PACKETS, WITHIN)
            .inspect_err(|error| eprintln!("{error}\n{}", forwarder.log().join("\n")))?;
        println!("driver {driver}, card {card}: {circulation}");
        assert_eq!(circulation.dropped, 0);

        let started: Vec<&String> =
            forwarder.log().iter().filter(|line| line.contains("starts at")).collect();
        let packed = |line: &&&String| line.contains("RING_PACKED");
        let expected = if driver == Ring::Packed { 2 } else { 0 };
        assert_eq!((started.len(), started.iter().filter(packed).count()), (2, expected), "{started:?}");
        let negotiated = testpmd.log().iter().rev().find_map(|line| {
            let (_, features) = line.split_once("negotiated Virtio features: 0x")?;
            u64::from_str_radix(features, 16).ok()
        });
        assert_eq!(negotiated.map(|features| features >> 34 & 1), Some(u64::from(card == Ring::Packed)));
    }
    Ok(())
}
