//! isolation-host is killed and started again: the guest gets each request back exactly once, done.

mod support;

use std::time::{Duration, Instant};

use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use ring_core::memory::Memory as _;
use support::device::{Offer, TestDevice, serve_honestly};
use support::guest::TestGuest;
use support::{Host, PATIENCE};

const FORMATS: [Features; 2] = [Features::EVENT_IDX, Features::RING_PACKED.union(Features::EVENT_IDX)];

/// What QEMU says of a queue whose back-end has died: of a split ring it knows where that has got to; of a packed one
/// it has only what it said when the queue was started first.
fn base_after_a_crash(guest: &TestGuest) -> u32 {
    if guest.features.contains(Features::RING_PACKED) {
        return 0x8000_8000;
    }
    let mut used = [0; 2];
    guest.memory.read_bytes(guest.setup(0).areas.device + 2, &mut used).unwrap();
    u16::from_le_bytes(used).into()
}

/// The VMM connects again and starts its queue where it thinks it was.
fn reconnect(guest: &mut TestGuest, host: &Host) {
    guest.reconnect(host.connect());
    let base = base_after_a_crash(guest);
    guest.start_at(0, base);
}

#[test]
fn requests_in_flight_are_done_once_each_although_later_ones_were_done_before() {
    for features in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let listener = TestDevice::listen(directory.path());
        let mut host = Host::start(directory, &["--device", "blk"]);
        let accepting = std::thread::spawn(move || {
            let mut device = TestDevice::accept(&listener, Offer::default());
            let queue = device.serve_until_started(0);
            (listener, device, queue)
        });
        let mut guest = TestGuest::new(host.connect(), features);
        guest.keep_journal();
        let mut driver = guest.start(0);
        let (listener, device, mut queue) = accepting.join().unwrap();
        for number in 0..6u32 {
            guest.request(&mut driver, u64::from(number) * 64, &number.to_le_bytes(), 4, number);
        }
        guest.publish(0, &mut driver);
        let taken: Vec<_> = (0..4).map(|_| device.take(0, &mut queue)).collect();
        let mut taken = taken.into_iter();
        for (token, bytes, writable) in taken.by_ref().skip(1).take(2) {
            device.memory[0].write_bytes(writable[0].address, &bytes).unwrap();
            queue.complete(token, 4).unwrap();
        }
        let _ = queue.publish();
        device.call(0);
        assert_eq!([0; 2].map(|_| guest.reap(0, &mut driver).0), [1, 2]);

        host.restart();
        let accepting = std::thread::spawn(move || {
            let mut device = TestDevice::accept(&listener, Offer::default());
            let queue = device.serve_until_started(0);
            (device, queue)
        });
        reconnect(&mut guest, &host);
        let (device, mut queue) = accepting.join().unwrap();
        for number in [0, 3, 4, 5u32] {
            assert_eq!(device.echo(0, &mut queue), number.to_le_bytes());
            assert_eq!(guest.reap(0, &mut driver), (number, 4));
            assert_eq!(
                guest.bytes(support::guest::DATA + u64::from(number) * 64 + 4, 4),
                number.to_le_bytes()
            );
        }
    }
}

#[test]
fn it_may_be_killed_at_any_moment_of_a_load() {
    each_request_is_done_once_although(|host, _| host.restart());
}

#[test]
fn the_vmm_may_hang_up_at_any_moment_of_a_load() {
    each_request_is_done_once_although(|_, guest| guest.hang_up());
}

/// Runs a load that is interrupted in this way many times.
fn each_request_is_done_once_although(interrupt: fn(&mut Host, &mut TestGuest)) {
    const KILLS: u32 = 60;
    for features in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let listener = TestDevice::listen(directory.path());
        std::thread::spawn(move || {
            loop {
                serve_honestly(TestDevice::accept(&listener, Offer::default()));
            }
        });
        let mut host = Host::start(directory, &["--device", "blk"]);
        let mut guest = TestGuest::new(host.connect(), features);
        guest.keep_journal();
        let mut driver = guest.start(0);
        let (mut made, mut in_flight, mut done) = (0u32, std::collections::BTreeMap::new(), 0u32);
        let mut kills = 0;
        let mut deadline = Instant::now() + PATIENCE;
        let mut next_kill = Instant::now();
        while kills < KILLS || !in_flight.is_empty() {
            assert!(Instant::now() < deadline, "{in_flight:?} are lost: {:#?}", host.new_lines());
            while kills < KILLS && in_flight.len() < 8 {
                // A place is free as soon as its request is back.
                let place = (0..).find(|place| !in_flight.values().any(|taken| taken == place)).unwrap_or(0);
                // Some are long, so that kills hit copies, too.
                let bytes = made.to_le_bytes().repeat(if made % 7 == 0 { 10_000 } else { 4 });
                let room = u32::try_from(bytes.len()).unwrap();
                guest.request(&mut driver, place * 0x20_000, &bytes, room, made);
                in_flight.insert(made, place);
                made += 1;
            }
            guest.publish(0, &mut driver);
            while let Some(used) = driver.reap().unwrap() {
                let place = in_flight.remove(&used.cookie).expect("no request comes back twice");
                let len = used.written;
                let at = support::guest::DATA + place * 0x20_000 + u64::from(len);
                assert_eq!(len, if used.cookie % 7 == 0 { 40_000 } else { 16 });
                assert_eq!(guest.bytes(at, len), used.cookie.to_le_bytes().repeat(len as usize / 4));
                done += 1;
                deadline = Instant::now() + PATIENCE;
            }
            if kills < KILLS && Instant::now() > next_kill {
                interrupt(&mut host, &mut guest);
                reconnect(&mut guest, &host);
                kills += 1;
                // At another distance each time.
                next_kill = Instant::now() + Duration::from_micros(u64::from(kills * 7919 % 3000));
            }
        }
        assert!(done > KILLS, "{done} requests");
    }
}

#[test]
fn what_another_program_has_noted_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    let mut host = Host::start(directory, &[]);
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let file = rustix::fs::memfd_create("foreign", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, 1 << 30).unwrap();
    let inflight = isolation_host::protocol::payload::Inflight {
        size: 1 << 30,
        queues: 2,
        queue_size: 16,
        ..Default::default()
    };
    let message = Message::request(Request::SetInflightFd, &inflight).with_fd(file).needing_reply();
    assert_eq!(guest.ask(message).body(), Ok(1u64));
    host.wait_for("was made by another program");
}
