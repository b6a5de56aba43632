//! Devices that lie, scribble and hang up: isolation-host lives, and the guest does not notice.

mod support;

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use isolation_host::protocol::payload::VringState;
use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use ring_core::memory::Memory as _;
use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate};
use support::device::{Offer, Queue, TestDevice};
use support::guest::TestGuest;
use support::{Host, PATIENCE};

/// What a device does with its memory once it has a request.
type Attack = (&'static str, fn(&TestDevice, &mut Queue));

/// Writes to the device area, or in a packed queue to its first descriptors.
fn used(device: &TestDevice, offset: u64, bytes: &[u8]) {
    let areas = device.vrings[&0].areas;
    let packed = device.asked & Features::RING_PACKED.bits() != 0;
    device.memory[0]
        .write_bytes(if packed { areas.descriptor } else { areas.device } + offset, bytes)
        .unwrap();
}

/// A used element, or descriptor, with this id and length.
fn entry(device: &TestDevice, id: u32, len: u32) {
    if device.asked & Features::RING_PACKED.bits() != 0 {
        let id = u16::try_from(id & 0xffff).unwrap();
        used(device, 8, &[&len.to_le_bytes()[..], &id.to_le_bytes(), &0x8080u16.to_le_bytes()].concat());
    } else {
        used(device, 4, &[id.to_le_bytes(), len.to_le_bytes()].concat());
        used(device, 2, &1u16.to_le_bytes());
    }
}

/// Fills all the device's memory, rings and data.
fn fill(device: &TestDevice, mut byte: impl FnMut() -> u8) {
    let area = &device.memory[0];
    // Rings and the first blocks of queue 0; what is behind is not in use.
    let bytes: Vec<u8> = (0..0x20_000).map(|_| byte()).collect();
    area.write_bytes(area.address(), &bytes).unwrap();
}

/// Bytes without a pattern.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    }
}

const ATTACKS: [Attack; 22] = [
    ("uses a buffer that does not exist", |device, _| entry(device, 9999, 4)),
    ("uses the largest id there is", |device, _| entry(device, u32::MAX, 4)),
    ("uses a buffer that is not in flight", |device, _| entry(device, 3, 4)),
    ("says it wrote 4 GiB", |device, _| entry(device, 0, u32::MAX)),
    ("runs ahead with its index", |device, _| used(device, 2, &100u16.to_le_bytes())),
    ("runs backwards with its index", |device, _| used(device, 2, &0xffffu16.to_le_bytes())),
    ("fills all its memory with ones", |device, _| fill(device, || 0xff)),
    ("fills all its memory with zeros", |device, _| fill(device, || 0)),
    ("fills all its memory with noise", |device, _| fill(device, noise(1))),
    ("fills all its memory with other noise", |device, _| fill(device, noise(2))),
    ("fills all its memory with more noise", |device, _| fill(device, noise(3))),
    ("fills all its memory with yet more noise", |device, _| fill(device, noise(4))),
    ("overwrites the descriptors", |device, _| {
        let at = device.vrings[&0].areas.descriptor;
        device.memory[0].write_bytes(at, &[0xff; 256]).unwrap();
    }),
    ("overwrites the driver area", |device, _| {
        let at = device.vrings[&0].areas.driver;
        device.memory[0].write_bytes(at, &[0xff; 4]).unwrap();
    }),
    ("shrinks its memory", |device, _| assert!(ftruncate(&device.files[0], 0).is_err())),
    ("grows its memory", |device, _| assert!(ftruncate(&device.files[0], 1 << 30).is_err())),
    ("seals its memory", |device, _| {
        assert!(fcntl_add_seals(&device.files[0], SealFlags::WRITE).is_err());
    }),
    ("punches its memory full of holes", |device, _| {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&device.files[0], flags, 0, 1 << 20).unwrap();
    }),
    ("notifies without end", |device, _| (0..5000).for_each(|_| device.call(0))),
    ("sends a message that nobody knows", |device, _| device.send(&Message::request(99u32, &[0u8; 16]))),
    ("answers what nobody asked", |device, _| {
        device.send(&Message::request(Request::GetFeatures, &[0u8; 8]).reply(&0u64));
    }),
    ("sends file descriptors that nobody wants", |device, _| {
        let fd = || device.files[0].as_fd().try_clone_to_owned().unwrap();
        let message = Message::request(Request::SetOwner, &VringState::default());
        device.send(&(0..8).fold(message, |message, _| message.with_fd(fd())));
    }),
];

#[test]
fn a_device_may_do_anything_to_its_split_ring() {
    every_attack_is_survived(Features::empty());
}

#[test]
fn a_device_may_do_anything_to_its_packed_ring() {
    every_attack_is_survived(Features::RING_PACKED);
}

fn every_attack_is_survived(format: Features) {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let mut offer = Offer::default();
    offer.features |= format.bits();
    // Without it each request is a descriptor chain that the device can get at.
    offer.features &= !Features::INDIRECT_DESC.bits();
    let mut host = Host::start(directory, &["--device", "blk"]);
    let started = std::thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, offer);
        let queue = device.serve_until_started(0);
        (listener, device, queue)
    });
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut driver = guest.start(0);
    let (listener, mut device, mut queue) = started.join().unwrap();
    for (number, (name, attack)) in (0..).zip(ATTACKS) {
        guest.request(&mut driver, 0, b"question", 16, number);
        guest.publish(0, &mut driver);
        let _taken = device.take(0, &mut queue);
        attack(&device, &mut queue);
        device.call(0);
        (device, queue) = replace(device, &listener, offer);
        // Either what it did was harmless and the request is back, or its successor has it.
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(used) = driver.reap().unwrap() {
                assert_eq!(used.cookie, number, "a device that {name}");
                break;
            }
            device.echo_if_any(0, &mut queue);
            assert!(Instant::now() < deadline, "a device that {name}: {:#?}", host.new_lines());
        }
        assert!(host.is_alive(), "a device that {name}");
    }
    let warnings = host.new_lines().iter().filter(|line| line.contains("WARN")).count();
    assert!((ATTACKS.len()..=3 * ATTACKS.len()).contains(&warnings), "{warnings} warnings");
}

/// Hangs up, and lets an honest device take over.
fn replace(device: TestDevice, listener: &UnixListener, offer: Offer) -> (TestDevice, Queue) {
    drop(device);
    let mut next = TestDevice::accept(listener, offer);
    let queue = next.serve_until_started(0);
    (next, queue)
}

/// What a device answers instead of the truth.
type Lie = (&'static str, fn(&mut TestDevice));

const LIES: [Lie; 10] = [
    ("hangs up at once", |_| {}),
    ("answers with another message", |device| {
        let request = next(device);
        device.send(&Message::request(77u32, &request.payload[..]).reply(&0u64));
    }),
    ("answers with a request", |device| {
        let request = next(device);
        device.send(&Message::request(request.request, &0u64));
    }),
    ("answers with too little", |device| {
        let request = next(device);
        device.send(&request.reply(&[0u8; 3]));
    }),
    ("answers with too much", |device| {
        let request = next(device);
        device.send(&request.reply(&[0u8; 4000]));
    }),
    ("announces more than there is", |device| {
        let request = next(device);
        device.send(&Message::request(request.request, &[0u8; 4097]).reply(&[0u8; 4097]));
    }),
    ("offers nothing", |device| {
        let request = next(device);
        device.send(&request.reply(&0u64));
    }),
    ("offers less than before", |device| {
        device.offer.features &= !0b10;
        while device.step(Instant::now() + Duration::from_millis(50)).is_some() {}
    }),
    ("is too old", |device| {
        device.offer.features &= !Features::VERSION_1.bits();
        while device.step(Instant::now() + Duration::from_millis(50)).is_some() {}
    }),
    ("refuses its memory", |device| {
        while let Ok(message) = device.channel.receive_by(Instant::now() + Duration::from_millis(50)) {
            let reply = match Request::try_from(message.request) {
                Ok(Request::GetFeatures) => message.reply(&device.offer.features),
                Ok(Request::GetProtocolFeatures) => message.reply(&device.offer.protocol),
                Ok(Request::GetQueueNum) => message.reply(&2u64),
                _ if message.needs_reply() => message.reply(&1u64),
                _ => continue,
            };
            device.send(&reply);
        }
    }),
];

fn next(device: &mut TestDevice) -> Message {
    device.channel.receive_by(Instant::now() + PATIENCE).unwrap()
}

#[test]
fn a_device_that_lies_about_itself_is_replaced_by_one_that_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let mut host = Host::start(directory, &["--device", "blk"]);
    let started = std::thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, Offer::default());
        device.serve_until_started(0);
        (listener, device)
    });
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut driver = guest.start(0);
    let (listener, mut device) = started.join().unwrap();
    for (number, (name, lie)) in (0..).zip(LIES) {
        guest.request(&mut driver, 0, b"question", 16, number);
        guest.publish(0, &mut driver);
        drop(device);
        let mut liar = TestDevice::accept(&listener, Offer::default());
        lie(&mut liar);
        let (honest, mut queue) = replace(liar, &listener, Offer::default());
        honest.echo(0, &mut queue);
        device = honest;
        assert_eq!(guest.reap(0, &mut driver).0, number, "a device that {name}");
        assert!(host.is_alive(), "a device that {name}");
    }
}
