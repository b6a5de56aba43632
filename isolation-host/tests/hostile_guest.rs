//! Guests that break the rules of their rings, and VMMs that break the rules of the protocol.
//! isolation-host survives, and the device does not notice.

mod support;

use isolation_host::protocol::payload::{MemoryRegion, SingleRegion, VringAddr, VringState};
use isolation_host::protocol::{Message, Request};
use ring_core::memory::Memory as _;
use ring_core::{Features, Segment};
use support::Host;
use support::device::{Offer, TestDevice, serve_honestly};
use support::guest::{DATA, QUEUE, RAM, RAM_SIZE, TestGuest};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;

/// A descriptor of a split queue: address, length, flags, next.
type Descriptor = (u64, u32, u16, u16);

/// What a guest does, the descriptors that it writes to the descriptor area, and the indirect table
/// that it writes to `DATA`.
type Chain = (&'static str, &'static [Descriptor], &'static [Descriptor]);

const CHAINS: [Chain; 24] = [
    ("reads outside its memory", &[(0, 16, 0, 0)], &[]),
    ("writes outside its memory", &[(0x10, 16, WRITE, 0)], &[]),
    ("reads past the end of its memory", &[(RAM + RAM_SIZE - 8, 16, 0, 0)], &[]),
    ("writes past the end of its memory", &[(RAM + RAM_SIZE - 8, 16, WRITE, 0)], &[]),
    ("reads before its memory", &[(RAM - 8, 16, 0, 0)], &[]),
    ("reads past the last address", &[(u64::MAX - 4, 16, 0, 0)], &[]),
    ("reads 4 GiB", &[(RAM, u32::MAX, 0, 0)], &[]),
    ("reads 4 GiB in pieces", &[(RAM, u32::MAX, NEXT, 1), (RAM, u32::MAX, 0, 0)], &[]),
    ("names a descriptor that does not exist", &[(DATA, 16, NEXT, 16)], &[]),
    ("names the largest descriptor", &[(DATA, 16, NEXT, 0xffff)], &[]),
    ("has a loop", &[(DATA, 16, NEXT, 0)], &[]),
    ("has a longer loop", &[(DATA, 16, NEXT, 1), (DATA, 16, NEXT, 0)], &[]),
    ("reads after it writes", &[(DATA, 16, NEXT | WRITE, 1), (DATA, 16, 0, 0)], &[]),
    ("has nothing but empty descriptors", &[(DATA, 0, NEXT, 1), (DATA, 0, WRITE, 0)], &[]),
    ("has an empty descriptor outside its memory", &[(0, 0, 0, 0)], &[]),
    ("sets all flags", &[(DATA, 16, 0xffff, 1)], &[]),
    ("has an empty table", &[(DATA, 0, INDIRECT, 0)], &[]),
    ("has a table that is no multiple of 16", &[(DATA, 24, INDIRECT, 0)], &[]),
    ("has a table outside its memory", &[(0, 16, INDIRECT, 0)], &[]),
    ("has a table of 4 GiB", &[(DATA, 0xffff_fff0, INDIRECT, 0)], &[(DATA, 1, NEXT, 0)]),
    ("has another descriptor after a table", &[(DATA, 16, INDIRECT | NEXT, 1)], &[(DATA, 16, 0, 0)]),
    ("has a table in a table", &[(DATA, 16, INDIRECT, 0)], &[(DATA, 16, INDIRECT, 0)]),
    ("has a loop in a table", &[(DATA, 32, INDIRECT, 0)], &[(DATA, 1, NEXT, 1), (DATA, 1, NEXT, 0)]),
    ("leaves its table", &[(DATA, 16, INDIRECT, 0)], &[(DATA, 16, NEXT, 7)]),
];

/// A descriptor of a packed queue: address, length, id, flags.
type PackedDescriptor = (u64, u32, u16, u16);

/// What a guest does with a packed queue, its descriptors, and its indirect table.
type PackedChain = (&'static str, &'static [PackedDescriptor], &'static [PackedDescriptor]);

/// The flag of a descriptor that is available in the first lap of the ring.
const AVAILABLE: u16 = 1 << 7;

const PACKED_CHAINS: [PackedChain; 18] = [
    ("reads outside its memory", &[(0, 16, 0, AVAILABLE)], &[]),
    ("writes outside its memory", &[(0x10, 16, 0, AVAILABLE | WRITE)], &[]),
    ("reads past the end of its memory", &[(RAM + RAM_SIZE - 8, 16, 0, AVAILABLE)], &[]),
    ("reads past the last address", &[(u64::MAX - 4, 16, 0, AVAILABLE)], &[]),
    ("writes 4 GiB", &[(RAM, u32::MAX, 0, AVAILABLE | WRITE)], &[]),
    ("names an id that does not exist", &[(DATA, 16, 16, AVAILABLE)], &[]),
    ("names the largest id", &[(DATA, 16, 0xffff, AVAILABLE)], &[]),
    ("names an id twice", &[(DATA, 16, 0, AVAILABLE | WRITE); 2], &[]),
    ("has a chain that does not end", &[(DATA, 16, 0, AVAILABLE | NEXT); 16], &[]),
    ("has a chain whose end is not available", &[(DATA, 16, 0, AVAILABLE | NEXT)], &[]),
    ("reads after it writes", &[(DATA, 16, 0, AVAILABLE | NEXT | WRITE), (DATA, 16, 0, AVAILABLE)], &[]),
    ("has nothing but an empty descriptor", &[(DATA, 0, 0, AVAILABLE)], &[]),
    (
        "has another descriptor after a table",
        &[(DATA, 16, 0, AVAILABLE | INDIRECT | NEXT); 2],
        &[(DATA, 16, 0, 0)],
    ),
    ("has an empty table", &[(DATA, 0, 0, AVAILABLE | INDIRECT)], &[]),
    ("has a table that is no multiple of 16", &[(DATA, 24, 0, AVAILABLE | INDIRECT)], &[]),
    ("has a table outside its memory", &[(0, 16, 0, AVAILABLE | INDIRECT)], &[]),
    ("has a table of 4 GiB", &[(DATA, 0xffff_fff0, 0, AVAILABLE | INDIRECT)], &[(DATA, 1, 0, 0)]),
    (
        "reads after it writes in a table",
        &[(DATA, 32, 0, AVAILABLE | INDIRECT)],
        &[(DATA, 16, 0, WRITE), (DATA, 16, 0, 0)],
    ),
];

/// Connects a VMM with a guest to an isolation-host with an honest device.
fn guest(features: Features) -> (Host, TestGuest) {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || {
        loop {
            serve_honestly(TestDevice::accept(&listener, Offer::default()));
        }
    });
    let host = Host::start(directory, &[]);
    let guest = TestGuest::new(host.connect(), features);
    (host, guest)
}

/// Checks that an honest request goes through, so both the queue and the device work.
fn check_queue(guest: &mut TestGuest) {
    let mut driver = guest.start(0);
    guest.request(&mut driver, 0, b"question", 16, 7);
    guest.publish(0, &mut driver);
    assert_eq!(guest.reap(0, &mut driver), (7, 8));
    guest.stop(0);
}

/// Checks that there is one warning about queue 0, and that isolation-host and the device continue.
fn check_isolated(host: &mut Host, guest: &mut TestGuest, name: &str, says: &str) {
    let line = host.wait_for(says);
    guest.stop(0);
    check_queue(guest);
    assert_eq!(host.new_warnings(), 0, "a guest that {name}");
    println!("a guest that {name}: {}", line.split_once("WARN ").unwrap().1);
}

fn write_descriptors(guest: &TestGuest, at: u64, descriptors: &[Descriptor]) {
    for (index, (address, len, third, fourth)) in (0..).zip(descriptors) {
        let bytes =
            [&address.to_le_bytes()[..], &len.to_le_bytes(), &third.to_le_bytes(), &fourth.to_le_bytes()]
                .concat();
        guest.memory.write_bytes(at + 16 * index, &bytes).unwrap();
    }
}

/// Writes the first entries of the available ring and the index, and notifies.
fn make_available(guest: &TestGuest, index: u16, heads: &[u16]) {
    let at = guest.setup(0).areas.driver;
    for (slot, head) in (0..).zip(heads) {
        guest.memory.write_bytes(at + 4 + 2 * slot, &head.to_le_bytes()).unwrap();
    }
    guest.memory.write_bytes(at + 2, &index.to_le_bytes()).unwrap();
    guest.kick(0);
}

#[test]
fn any_descriptor_chain_breaks_no_more_than_its_own_queue() {
    let (mut host, mut guest) = guest(Features::INDIRECT_DESC);
    check_queue(&mut guest);
    host.new_lines();
    for (name, chain, table) in CHAINS {
        drop(guest.start(0));
        let base = guest.setup(0).areas.descriptor;
        write_descriptors(&guest, base, chain);
        write_descriptors(&guest, DATA, table);
        make_available(&guest, 1, &[0]);
        check_isolated(&mut host, &mut guest, name, "WARN");
    }
}

#[test]
fn any_packed_descriptor_chain_breaks_no_more_than_its_own_queue() {
    let (mut host, mut guest) = guest(Features::INDIRECT_DESC | Features::RING_PACKED);
    check_queue(&mut guest);
    host.new_lines();
    for (name, chain, table) in PACKED_CHAINS {
        drop(guest.start(0));
        let base = guest.setup(0).areas.descriptor;
        write_descriptors(&guest, DATA, table);
        write_descriptors(&guest, base, chain);
        guest.kick(0);
        check_isolated(&mut host, &mut guest, name, "WARN");
    }
}

#[test]
fn any_available_ring_breaks_no_more_than_its_own_queue() {
    let (mut host, mut guest) = guest(Features::empty());
    let cases: [(&str, u16, &[u16]); 6] = [
        ("runs ahead by one", 17, &[]),
        ("runs ahead by half", 0x8000, &[]),
        ("runs backwards", 0xffff, &[]),
        ("names a head that does not exist", 1, &[16]),
        ("names the largest head", 1, &[0xffff]),
        ("names a head twice", 2, &[0, 0]),
    ];
    for (name, index, heads) in cases {
        drop(guest.start(0));
        write_descriptors(&guest, guest.setup(0).areas.descriptor, &[(DATA, 16, WRITE, 0)]);
        make_available(&guest, index, heads);
        check_isolated(&mut host, &mut guest, name, "WARN the guest broke queue 0");
    }
}

#[test]
fn a_broken_ring_is_idle_until_it_starts_again_and_other_queues_continue() {
    let (mut host, mut guest) = guest(Features::empty());
    drop(guest.start(0));
    let mut other = guest.start(1);
    make_available(&guest, QUEUE + 1, &[]);
    host.wait_for("WARN the guest broke queue 0");
    // A request that follows the rules does not mend the ring.
    write_descriptors(&guest, guest.setup(0).areas.descriptor, &[(DATA, 16, WRITE, 0)]);
    make_available(&guest, 1, &[0]);
    for number in 0..3 {
        guest.request(&mut other, 0x1000, b"question", 8, number);
        guest.publish(1, &mut other);
        assert_eq!(guest.reap(1, &mut other), (number, 8));
    }
    let mut used = [0; 2];
    guest.memory.read_bytes(guest.setup(0).areas.device + 2, &mut used).unwrap();
    assert_eq!((used, host.new_warnings()), ([0; 2], 0));
    guest.stop(0);
    check_queue(&mut guest);
}

#[test]
fn impossible_requests_without_end_do_not_fill_the_log() {
    let (mut host, mut guest) = guest(Features::empty());
    let mut driver = guest.start(0);
    for number in 0..500 {
        driver.add(&[Segment::new(0, 16)], &[], number).unwrap();
        guest.publish(0, &mut driver);
        assert_eq!(guest.reap(0, &mut driver), (number, 0));
    }
    guest.stop(0);
    let lines = std::iter::from_fn(|| Some(host.wait_for("")).filter(|line| !line.contains("500 refused")));
    assert_eq!(lines.filter(|line| line.contains("WARN")).count(), 1);
    check_queue(&mut guest);
}

#[test]
fn noise_in_the_rings_is_survived() {
    for features in [Features::INDIRECT_DESC, Features::INDIRECT_DESC | Features::RING_PACKED] {
        let (mut host, mut guest) = guest(features);
        let mut state = 1u64;
        for _ in 0..40 {
            drop(guest.start(0));
            let mut noise = vec![0; 0x2100];
            for byte in &mut noise {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = state.to_le_bytes()[5];
            }
            guest.memory.write_bytes(guest.setup(0).areas.descriptor, &noise).unwrap();
            guest.kick(0);
            guest.settle();
            guest.stop(0);
            assert!(host.is_alive());
            check_queue(&mut guest);
        }
    }
}

#[test]
fn any_payload_with_any_request_is_answered() {
    let (mut host, mut guest) = guest(Features::empty());
    for request in (0..60).chain([1000, u32::MAX]) {
        let payloads: [&[u8]; 7] =
            [&[], &[0xff; 7], &[0xff; 8], &[0; 12], &[0xff; 16], &[0xff; 40], &[0x11; 4096]];
        for payload in payloads {
            let known = Request::try_from(request);
            let message = Message::request(request, payload).needing_reply();
            guest.channel.send(&message).unwrap();
            let reply = guest.channel.receive_by(std::time::Instant::now() + support::TIMEOUT);
            let answered = reply.map(|reply| reply.request).ok();
            let said = if answered.is_none() { host.new_lines() } else { Vec::new() };
            assert_eq!(answered, Some(request), "{known:?} with {} bytes: {said:#?}", payload.len());
        }
    }
    assert!(host.is_alive());
    let mut guest = {
        drop(guest);
        TestGuest::new(host.connect(), Features::empty())
    };
    check_queue(&mut guest);
}

#[test]
fn a_refused_request_that_needs_a_reply_is_answered() {
    let (host, mut guest) = guest(Features::empty());
    for request in [Request::SetLogBase, Request::GetVringBase, Request::GetConfig, Request::GetInflightFd] {
        let reply = guest.ask(Message::request(request, &[0xffu8; 3]));
        assert_eq!(reply.payload.len(), 0, "{request:?}");
    }
    drop(host);
}

#[test]
fn an_invalid_queue_configuration_is_refused() {
    let (mut host, mut guest) = guest(Features::empty());
    let state = |index, num| VringState { index, num };
    let code = |guest: &mut TestGuest, message: Message| guest.ask(message.needing_reply()).body::<u64>();
    for (index, num) in [(0, 0), (0, 0x1_0000), (0, 40_000), (9, 16), (u32::MAX, 16)] {
        let message = Message::request(Request::SetVringNum, &state(index, num));
        assert_eq!(code(&mut guest, message), Ok(1), "{index} {num}");
    }
    let region = MemoryRegion { guest_address: RAM + 8, size: 4096, user_address: 0, offset: 0 };
    let overlapping = Message::request(Request::AddMemReg, &SingleRegion { padding: 0, region });
    let file = rustix::fs::memfd_create("small", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    assert_eq!(code(&mut guest, overlapping.with_fd(file)), Ok(1));
    // An address without memory, a size that is not a power of two, and an unaligned address.
    for (size, descriptor) in [(16, 0x1234), (15, 0x7fff_0000_0000), (16, 0x7fff_0000_0001)] {
        let areas = VringAddr { descriptor, device: descriptor, driver: descriptor, ..VringAddr::default() };
        guest.ask(Message::request(Request::SetVringNum, &state(0, size)).needing_reply());
        guest.ask(Message::request(Request::SetVringAddr, &areas).needing_reply());
        let kick = isolation_host::notifier::new().unwrap();
        let message = Message::request(Request::SetVringKick, &0u64).with_fd(kick);
        assert_eq!(code(&mut guest, message), Ok(1), "{size} {descriptor:#x}");
    }
    // A queue without a kick file, which the back-end would have to poll.
    assert_eq!(code(&mut guest, Message::request(Request::SetVringKick, &(1u64 << 8))), Ok(1));
    host.wait_for("queue 0 has no kick file descriptor");
    assert!(host.is_alive());
    check_queue(&mut guest);
}
