//! Devices that break the rules of the handshake. isolation-host waits for a device that follows
//! the rules, and the guest does not notice.

mod support;

use std::time::Instant;

use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use support::device::{Offer, TestDevice, serve_honestly};
use support::guest::TestGuest;
use support::{Host, TIMEOUT};

/// The description of a lie, the warning about the lie, and the code.
type Lie = (&'static str, &'static str, fn(&mut TestDevice));

const LIES: [Lie; 13] = [
    ("disconnects at once", "GetFeatures", |_| {}),
    ("answers with another message", "the device answers GetFeatures with message 77", |device| {
        let request = next(device);
        device.send(&Message::request(77u32, &request.payload[..]).reply(&0u64));
    }),
    ("answers with a request", "the device answers GetFeatures with message 1", |device| {
        let request = next(device);
        device.send(&Message::request(request.request, &0u64));
    }),
    (
        "answers with too little",
        "the device answers GetFeatures with a payload of 3 bytes where 8 were expected",
        |device| {
            let request = next(device);
            device.send(&request.reply(&[0u8; 3]));
        },
    ),
    ("answers with too much", "the device answers GetFeatures with a payload of 4000 bytes", |device| {
        let request = next(device);
        device.send(&request.reply(&[0u8; 4000]));
    }),
    ("announces more than there is", "message 1 announces 4097 bytes, over 4096", |device| {
        let request = next(device);
        device.send(&Message::request(request.request, &[0u8; 4097]).reply(&[0u8; 4097]));
    }),
    ("offers nothing", "the device no longer offers features 0x44", |device| {
        device.offer.features = 0;
        answer_all(device);
    }),
    ("offers less than before", "the device no longer offers features 0x40", |device| {
        device.offer.features &= !BLOCK_SIZE;
        answer_all(device);
    }),
    ("no longer has a configuration", "no longer offers protocol features 0x200", |device| {
        device.offer.protocol &= !(1 << 9);
        answer_all(device);
    }),
    ("has fewer queues than before", "has 1 queues now, and had 2", |device| {
        device.offer.queues = 1;
        answer_all(device);
    }),
    ("is too old", "the device does not offer VIRTIO 1.0", |device| {
        device.offer.features &= !Features::VERSION_1.bits();
        answer_all(device);
    }),
    ("refuses what it offered", "the device refuses SetFeatures (code 1)", |device| {
        refuse(device, Request::SetFeatures);
    }),
    ("refuses its memory", "the device refuses AddMemReg (code 1)", |device| {
        refuse(device, Request::AddMemReg);
    }),
];

/// A feature that the guest uses and only the device can provide (`VIRTIO_BLK_F_BLK_SIZE`).
const BLOCK_SIZE: u64 = 1 << 6;

/// Returns what an honest device offers.
fn offer() -> Offer {
    let offer = Offer::default();
    Offer { features: offer.features | BLOCK_SIZE, ..offer }
}

/// Answers all messages until isolation-host disconnects.
fn answer_all(device: &mut TestDevice) {
    while device.step(Instant::now() + TIMEOUT).is_some() {}
}

/// Refuses this request and accepts all others until isolation-host disconnects.
fn refuse(device: &mut TestDevice, refused: Request) {
    while let Ok(message) = device.channel.receive_by(Instant::now() + TIMEOUT) {
        device.send(&match Request::try_from(message.request) {
            Ok(Request::GetFeatures) => message.reply(&device.offer.features),
            Ok(Request::GetProtocolFeatures) => message.reply(&device.offer.protocol),
            Ok(Request::GetQueueNum) => message.reply(&device.offer.queues),
            Ok(request) if message.needs_reply() => message.reply(&u64::from(request == refused)),
            _ => continue,
        });
    }
}

fn next(device: &mut TestDevice) -> Message {
    device.channel.receive_by(Instant::now() + TIMEOUT).unwrap()
}

#[test]
fn the_first_device_is_met_like_every_other() {
    // These lies do not depend on the offer of an earlier device.
    let lies: Vec<Lie> = LIES.into_iter().filter(|(name, ..)| !name.contains("offer")).take(6).collect();
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let mut host = Host::start(directory, &["--device", "blk"]);
    for (name, says, lie) in lies {
        let mut liar = TestDevice::accept(&listener, offer());
        lie(&mut liar);
        drop(liar);
        let line = host.wait_for("WARN rejecting a device");
        assert!(line.contains(says), "a device that {name}: {line}");
        assert_eq!(host.new_warnings(), 0, "a device that {name}");
    }
    let mut old = TestDevice::accept(&listener, Offer { features: 0, ..offer() });
    answer_all(&mut old);
    host.wait_for("WARN rejecting a device: the device does not offer VIRTIO 1.0");
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, offer())));
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut driver = guest.start(0);
    guest.request(&mut driver, 0, b"question", 16, 7);
    guest.publish(0, &mut driver);
    assert_eq!(guest.reap(0, &mut driver), (7, 8));
}

#[test]
fn a_device_that_breaks_the_handshake_is_replaced_by_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let mut host = Host::start(directory, &["--device", "blk"]);
    let started = std::thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, offer());
        device.serve_until_started(0);
        (listener, device)
    });
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut driver = guest.start(0);
    let (listener, mut device) = started.join().unwrap();
    for (number, (name, says, lie)) in (0..).zip(LIES) {
        guest.request(&mut driver, 0, b"question", 16, number);
        guest.publish(0, &mut driver);
        drop(device);
        host.wait_for("WARN the device is lost");
        let mut liar = TestDevice::accept(&listener, offer());
        lie(&mut liar);
        drop(liar);
        let line = host.wait_for("WARN");
        assert!(line.contains(says), "a device that {name}: {line}");
        println!("a device that {name}: {}", line.split_once("WARN ").unwrap().1);
        device = TestDevice::accept(&listener, offer());
        let mut queue = device.serve_until_started(0);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver).0, number, "a device that {name}");
        assert_eq!(host.new_warnings(), 0, "a device that {name}");
        assert!(host.is_alive(), "a device that {name}");
    }
}
