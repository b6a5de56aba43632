//! DPDK's network driver exchanges packets with DPDK's network card through isolation-host.

use std::error::Error;

use end_to_end::artifacts::{Profile, program};
use end_to_end::forwarding::start_forwarder;
use end_to_end::playback::Ring;
use end_to_end::testpmd::{Packet, Testpmd};

/// The feature `VIRTIO_NET_F_MRG_RXBUF` of VIRTIO 1.4, 5.1.3 "Feature bits".
const MERGEABLE: u64 = 1 << 15;
/// The feature `VIRTIO_F_RING_PACKED` of VIRTIO 1.4, 6 "Reserved Feature Bits".
const PACKED: u64 = 1 << 34;
/// The feature `VIRTIO_F_IN_ORDER` of the same section.
const IN_ORDER: u64 = 1 << 35;

#[test]
fn each_of_ten_million_packets_arrives_once_over_any_two_ring_formats() -> Result<(), Box<dyn Error>> {
    exchange_over_any_two_ring_formats(Packet::SMALL, 5_000_000)
}

/// isolation-host returns the buffers of a packet in one batch. VIRTIO allows one used entry for a
/// batch that is used in order, but DPDK's driver reads a used entry for each buffer.
#[test]
fn each_jumbo_packet_arrives_whole_in_its_mergeable_buffers() -> Result<(), Box<dyn Error>> {
    exchange_over_any_two_ring_formats(Packet::JUMBO, 1_000_000)
}

/// Exchanges `packets` packets in each direction, over each pair of ring formats.
fn exchange_over_any_two_ring_formats(packet: Packet, packets: u64) -> Result<(), Box<dyn Error>> {
    let rings = [Ring::Split, Ring::Packed];
    for (driver, card) in rings.into_iter().flat_map(|driver| rings.map(|card| (driver, card))) {
        exchange(driver, card, packet, packets)?;
    }
    Ok(())
}

/// Exchanges `packets` packets in each direction between a driver and a card.
fn exchange(driver: Ring, card: Ring, packet: Packet, packets: u64) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("card.sock");
    let mut testpmd = Testpmd::start(&socket, packet)?;
    let ring = card.to_string();
    // Driver and card poll, so a notification costs them more than a packet.
    let options = ["--device", "net", "--ring", &ring, "--poll-us", "50", "--log", "debug"];
    let program = program("isolation-host", Profile::Release)?;
    let mut forwarder = start_forwarder(&program, directory.path(), &socket, &options)?;
    testpmd.connect_driver(forwarder.socket(), driver)?;
    let circulation = testpmd
        .circulate(packets)
        .inspect_err(|error| eprintln!("{error}\n{}", forwarder.log().join("\n")))?;
    println!("driver {driver}, card {card}: {circulation}");
    assert_eq!(circulation.dropped, 0);
    for sent in [circulation.driver.sent, circulation.card.sent] {
        assert_eq!(sent.bytes, sent.packets * packet.bytes());
    }

    let started: Vec<&String> = forwarder.log().iter().filter(|line| line.contains("starts at")).collect();
    let with = |feature: &str| started.iter().filter(|line| line.contains(feature)).count();
    let packed = if driver == Ring::Packed { 2 } else { 0 };
    assert_eq!((started.len(), with("RING_PACKED"), with("IN_ORDER")), (2, packed, 2), "{started:?}");
    let negotiated = testpmd.log().iter().rev().find_map(|line| {
        let (_, features) = line.split_once("negotiated Virtio features: 0x")?;
        u64::from_str_radix(features, 16).ok()
    });
    // The card uses the same packets as the driver, and has a ring format of its own.
    let packed = if card == Ring::Packed { PACKED } else { 0 };
    let relevant = negotiated.map(|features| features & (MERGEABLE | PACKED | IN_ORDER));
    assert_eq!(relevant, Some(MERGEABLE | packed | IN_ORDER));
    Ok(())
}
