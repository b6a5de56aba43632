//! Devices that break the rules of their rings and of the protocol. isolation-host survives, and
//! the guest does not notice.

mod support;

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixListener;
use std::time::Instant;

use isolation_host::protocol::payload::VringState;
use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use ring_core::memory::Memory as _;
use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals, ftruncate};
use support::TIMEOUT;
use support::device::{Offer, Queue, TestDevice};
use support::guest;
use support::started::{Parts, started};

/// What a device does after it has taken a request, the warnings with split and with packed rings,
/// and the code. A harmless attack causes no warning, so the expected warning is then the warning
/// of the disconnection.
type Attack = (&'static str, [&'static str; 2], fn(&TestDevice));

const HARMLESS: &str = "the device is lost: the peer has closed the connection";
const NOT_IN_FLIGHT: &str = "it broke queue 0: used buffer";
const TOO_FAR: &str = "it broke queue 0: used index";

fn write(device: &TestDevice, address: u64, bytes: &[u8]) {
    device.memory[0].write_bytes(address, bytes).unwrap();
}

fn packed(device: &TestDevice) -> bool {
    device.asked & Features::RING_PACKED.bits() != 0
}

/// Sets the used index. A packed queue has its event suppression structure there.
fn set_index(device: &TestDevice, index: u16) {
    write(device, device.vrings[&0].areas.device + 2, &index.to_le_bytes());
}

/// Puts a used element, or a used descriptor, with this id and length into the first slot.
fn use_first(device: &TestDevice, id: u32, len: u32) {
    put_entry(device, 0, id, len);
}

/// Puts a used element, or a used descriptor, into the second slot.
fn use_second(device: &TestDevice, id: u32, len: u32) {
    put_entry(device, 1, id, len);
}

fn put_entry(device: &TestDevice, slot: u16, id: u32, len: u32) {
    let areas = device.vrings[&0].areas;
    if packed(device) {
        // A request has two descriptors. The used descriptor goes to the slot of the first one.
        let at = areas.descriptor + 16 * 2 * u64::from(slot) + 8;
        let id = u16::try_from(id & 0xffff).unwrap();
        write(device, at, &[&len.to_le_bytes()[..], &id.to_le_bytes(), &0x8080u16.to_le_bytes()].concat());
    } else {
        write(
            device,
            areas.device + 4 + 8 * u64::from(slot),
            &[id.to_le_bytes(), len.to_le_bytes()].concat(),
        );
        set_index(device, slot + 1);
    }
}

/// Overwrites the rings and the data in the device's memory.
fn fill(device: &TestDevice, mut byte: impl FnMut() -> u8) {
    let area = &device.memory[0];
    // The rings and the first blocks of queue 0. The memory behind these blocks is not in use.
    let bytes: Vec<u8> = (0..0x20_000).map(|_| byte()).collect();
    area.write_bytes(area.address(), &bytes).unwrap();
}

/// Returns a source of pseudo-random bytes.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    }
}

const ATTACKS: [Attack; 33] = [
    ("uses a buffer that does not exist", [NOT_IN_FLIGHT; 2], |device| use_first(device, 9999, 4)),
    ("uses the largest id", [NOT_IN_FLIGHT; 2], |device| use_first(device, u32::MAX, 4)),
    ("uses a buffer that is not in flight", [NOT_IN_FLIGHT; 2], |device| use_first(device, 3, 4)),
    ("claims to have written 4 GiB", [HARMLESS; 2], |device| use_first(device, 0, u32::MAX)),
    ("claims to have written nothing", [HARMLESS; 2], |device| use_first(device, 0, 0)),
    ("uses a buffer twice", [TOO_FAR, NOT_IN_FLIGHT], |device| {
        use_first(device, 0, 4);
        use_second(device, 0, 4);
    }),
    ("runs ahead with its index by one", [TOO_FAR, HARMLESS], |device| set_index(device, 2)),
    ("runs ahead with its index", [TOO_FAR, HARMLESS], |device| set_index(device, 100)),
    ("runs ahead with its index by half", [TOO_FAR, HARMLESS], |device| set_index(device, 0x8000)),
    ("runs backwards with its index", [TOO_FAR, HARMLESS], |device| set_index(device, 0xffff)),
    ("fills all its memory with ones", [TOO_FAR, NOT_IN_FLIGHT], |device| fill(device, || 0xff)),
    ("fills all its memory with zeros", [HARMLESS; 2], |device| fill(device, || 0)),
    ("fills all its memory with noise", [TOO_FAR, HARMLESS], |device| fill(device, noise(1))),
    ("fills all its memory with other noise", [TOO_FAR, HARMLESS], |device| fill(device, noise(2))),
    ("fills all its memory with more noise", [TOO_FAR, NOT_IN_FLIGHT], |device| fill(device, noise(3))),
    ("fills all its memory with yet more noise", [TOO_FAR, HARMLESS], |device| fill(device, noise(4))),
    ("overwrites the descriptors", [HARMLESS, NOT_IN_FLIGHT], |device| {
        write(device, device.vrings[&0].areas.descriptor, &[0xff; 256]);
    }),
    ("overwrites the driver area", [HARMLESS; 2], |device| {
        write(device, device.vrings[&0].areas.driver, &[0xff; 4]);
    }),
    ("asks not to be notified", [HARMLESS; 2], |device| {
        write(device, device.vrings[&0].areas.device, &1u16.to_le_bytes());
    }),
    ("asks for a notification at an impossible index", [HARMLESS; 2], |device| {
        let areas = device.vrings[&0].areas;
        write(device, areas.device + 4 + 8 * u64::from(device.vrings[&0].size), &[0xff; 2]);
    }),
    ("overwrites its request", [HARMLESS; 2], |device| {
        // The room for data begins at a page behind the rings.
        let area = &device.memory[0];
        for page in 1..64 {
            write(device, area.address() + 4096 * page + 2048, &[0xff; 2048]);
        }
    }),
    ("shrinks its memory", [HARMLESS; 2], |device| assert!(ftruncate(&device.files[0], 0).is_err())),
    ("grows its memory", [HARMLESS; 2], |device| assert!(ftruncate(&device.files[0], 1 << 30).is_err())),
    ("seals its memory", [HARMLESS; 2], |device| {
        assert!(fcntl_add_seals(&device.files[0], SealFlags::WRITE).is_err());
    }),
    ("punches its memory full of holes", [HARMLESS; 2], |device| {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&device.files[0], flags, 0, 1 << 20).unwrap();
    }),
    ("notifies without end", [HARMLESS; 2], |device| (0..5000).for_each(|_| device.call(0))),
    ("reads its own notifications", [HARMLESS; 2], |device| {
        let call = device.vrings[&0].call.as_ref().unwrap();
        (0..5000).for_each(|_| {
            device.call(0);
            let _ = rustix::io::read(call, &mut [0; 8]);
        });
    }),
    ("sends an unknown message", ["it sent message 99"; 2], |device| {
        device.send(&Message::request(99u32, &[0u8; 16]));
    }),
    ("sends messages without end", ["it sent message 99"; 2], |device| {
        (0..1000).for_each(|_| device.send(&Message::request(99u32, &[0u8; 16])));
    }),
    ("sends a reply without a request", ["it sent message 1"; 2], |device| {
        device.send(&Message::request(Request::GetFeatures, &[0u8; 8]).reply(&0u64));
    }),
    ("sends file descriptors that do not belong to the message", ["it sent message 3"; 2], |device| {
        let fd = || device.files[0].as_fd().try_clone_to_owned().unwrap();
        let message = Message::request(Request::SetOwner, &VringState::default());
        device.send(&(0..8).fold(message, |message, _| message.with_fd(fd())));
    }),
    ("sends half a message", [HARMLESS; 2], |device| {
        rustix::io::write(&device.channel, &[1; 5]).unwrap();
    }),
    ("announces a message of 4 GiB", ["announces 4294967295 bytes"; 2], |device| {
        rustix::io::write(&device.channel, &[[1, 0, 0, 0], [1, 0, 0, 0], [0xff; 4]].concat()).unwrap();
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
    let mut offer = Offer::default();
    offer.features |= format.bits();
    // Without indirect tables, each request is a descriptor chain in memory that the device can
    // write.
    offer.features &= !Features::INDIRECT_DESC.bits();
    let Parts { mut host, guest, mut driver, mut device, mut queue, listener } =
        started(Features::empty(), offer, &["--device", "blk"]);
    for (number, (name, says, attack)) in (0..).zip(ATTACKS) {
        let says = says[usize::from(packed(&device))];
        guest.request(&mut driver, 0, b"question", 16, number);
        guest.publish(0, &mut driver);
        let _taken = device.take(0, &mut queue);
        attack(&device);
        device.call(0);
        if says == HARMLESS {
            drop(device);
        }
        let line = host.wait_for("WARN");
        assert!(line.contains(says), "a device that {name}: {line}");
        println!("a device that {name}: {}", line.split_once("WARN ").unwrap().1);

        // Either the attack was harmless and the request is back, or the next device gets the
        // request.
        let (honest, mut honest_queue) = accept_next(&listener, offer);
        let used = echo_until_used(&honest, &mut honest_queue, &mut driver);
        assert_eq!(used, Some(number), "a device that {name}: {:#?}", host.new_lines());
        drop(honest);
        // There is no other warning.
        let line = host.wait_for("WARN");
        assert!(line.contains(HARMLESS), "a device that {name}: {line}");
        (device, queue) = accept_next(&listener, offer);
    }
    assert!(host.is_alive());
}

/// Echoes requests until a buffer is used. Returns the cookie, or `None` after the limit.
fn echo_until_used(device: &TestDevice, queue: &mut Queue, driver: &mut guest::Queue) -> Option<u32> {
    let deadline = Instant::now() + TIMEOUT;
    while Instant::now() < deadline {
        if let Some(used) = driver.reap().unwrap() {
            return Some(used.cookie);
        }
        device.echo_if_any(0, queue);
    }
    None
}

/// Accepts the next device and starts its queue.
fn accept_next(listener: &UnixListener, offer: Offer) -> (TestDevice, Queue) {
    let mut next = TestDevice::accept(listener, offer);
    let queue = next.serve_until_started(0);
    (next, queue)
}

#[test]
fn a_device_cannot_stall_the_guest_with_notifications_that_block() {
    for format in [Features::empty(), Features::RING_PACKED] {
        let mut offer = Offer::default();
        offer.features |= format.bits();
        let Parts { mut host, guest, mut driver, device, mut queue, listener } =
            started(Features::empty(), offer, &["--device", "blk"]);
        guest.request(&mut driver, 0, b"question", 16, 0);
        guest.publish(0, &mut driver);
        let _taken = device.take(0, &mut queue);
        let kick = device.vrings[&0].kick.as_ref().unwrap();
        // This would fill an event file descriptor. A socket has a buffer for each direction.
        let _ = rustix::io::write(kick, &(u64::MAX - 1).to_ne_bytes());
        rustix::io::ioctl_fionbio(kick, false).unwrap();
        let _ = queue.arm();
        guest.request(&mut driver, 64, b"question", 16, 1);
        guest.publish(0, &mut driver);
        // Waits until isolation-host has published the request and has decided about the
        // notification.
        while queue.arm() != ring_core::Arm::Pending {}
        drop(device);
        host.wait_for(HARMLESS);
        let (honest, mut queue) = accept_next(&listener, offer);
        for number in 0..2 {
            honest.echo(0, &mut queue);
            assert_eq!(guest.reap(0, &mut driver).0, number);
        }
    }
}
