//! DPDK's network driver, through isolation-host, to DPDK's network card: real peers in front and behind.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{Profile, program};
use end_to_end::forwarding::start_forwarder;
use end_to_end::playback::Ring;
use end_to_end::testpmd::Testpmd;

/// Both ways together.
const PACKETS: u64 = 10_000_000;
/// At a tenth of what a machine of its own allows.
const WITHIN: Duration = Duration::from_secs(120);

#[test]
fn every_one_of_ten_million_packets_arrives_once_whatever_rings_the_two_ends_use()
-> Result<(), Box<dyn Error>> {
    let rings = [Ring::Split, Ring::Packed];
    for (front, behind) in rings.into_iter().flat_map(|front| rings.map(|behind| (front, behind))) {
        let directory = tempfile::tempdir()?;
        let card = directory.path().join("card.sock");
        let mut testpmd = Testpmd::start(&card)?;
        let ring = behind.to_string();
        // Both ends poll, so that a notification costs them more than a packet.
        let options = ["--device", "net", "--ring", &ring, "--poll-us", "50", "--log", "debug"];
        let mut forwarder = start_forwarder(
            &program("isolation-host", Profile::Release)?,
            directory.path(),
            &card,
            &options,
        )?;
        testpmd.connect_driver(forwarder.socket(), front)?;
        let circulation = testpmd
            .circulate(PACKETS, WITHIN)
            .inspect_err(|error| eprintln!("{error}\n{}", forwarder.log().join("\n")))?;
        println!("{front} in front, {behind} behind: {circulation}");
        assert_eq!(circulation.dropped, 0);

        let started: Vec<&String> =
            forwarder.log().iter().filter(|line| line.contains("starts at")).collect();
        let packed = |line: &&&String| line.contains("RING_PACKED");
        let expected = if front == Ring::Packed { 2 } else { 0 };
        assert_eq!((started.len(), started.iter().filter(packed).count()), (2, expected), "{started:?}");
        let negotiated = testpmd.log().iter().rev().find_map(|line| {
            let (_, features) = line.split_once("negotiated Virtio features: 0x")?;
            u64::from_str_radix(features, 16).ok()
        });
        assert_eq!(negotiated.map(|features| features >> 34 & 1), Some(u64::from(behind == Ring::Packed)));
    }
    Ok(())
}
