//! Devices that lie about themselves when they are connected: isolation-host waits for one that does not, and the
//! guest does not notice.

mod support;

use std::time::Instant;

use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use support::device::{Offer, TestDevice};
use support::guest::TestGuest;
use support::{Host, PATIENCE};

/// A device that does something, what is said about it, and how it does it.
type Lie = (&'static str, &'static str, fn(&mut TestDevice));

const LIES: [Lie; 13] = [
    ("hangs up at once", "GetFeatures", |_| {}),
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
        introduce(device);
    }),
    ("offers less than before", "the device no longer offers features 0x40", |device| {
        device.offer.features &= !BLOCK_SIZE;
        introduce(device);
    }),
    ("has no configuration any more", "no longer offers protocol features 0x200", |device| {
        device.offer.protocol &= !(1 << 9);
        introduce(device);
    }),
    ("has fewer queues than before", "has 1 queues now, and had 2", |device| {
        device.offer.queues = 1;
        introduce(device);
    }),
    ("is too old", "the device does not offer VIRTIO 1.0", |device| {
        device.offer.features &= !Features::VERSION_1.bits();
        introduce(device);
    }),
    ("refuses what it offered", "the device refuses SetFeatures (code 1)", |device| {
        refuse(device, Request::SetFeatures);
    }),
    ("refuses its memory", "the device refuses AddMemReg (code 1)", |device| {
        refuse(device, Request::AddMemReg);
    }),
];

/// A feature that the guest uses, and that nobody but the device can have (`VIRTIO_BLK_F_BLK_SIZE`).
const BLOCK_SIZE: u64 = 1 << 6;

/// What an honest device offers.
fn offer() -> Offer {
    let offer = Offer::default();
    Offer { features: offer.features | BLOCK_SIZE, ..offer }
}

/// Answers everything, until isolation-host hangs up.
fn introduce(device: &mut TestDevice) {
    while device.step(Instant::now() + PATIENCE).is_some() {}
}

/// Refuses this request and obeys all others, until isolation-host hangs up.
fn refuse(device: &mut TestDevice, refused: Request) {
    while let Ok(message) = device.channel.receive_by(Instant::now() + PATIENCE) {
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
    device.channel.receive_by(Instant::now() + PATIENCE).unwrap()
}

#[test]
fn a_device_that_lies_about_itself_is_replaced_by_one_that_does_not() {
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
