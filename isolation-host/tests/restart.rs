//! isolation-host is killed and started again. The guest gets each request back exactly once,
//! completed.

mod support;

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use isolation_host::protocol::payload::Inflight;
use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use ring_core::memory::Memory as _;
use support::device::{Offer, Queue, TestDevice, serve_honestly};
use support::guest::{self, DATA, TestGuest};
use support::started::{Parts, started};
use support::{Host, TIMEOUT};
use zerocopy::IntoBytes as _;

const FORMATS: [Features; 2] = [Features::EVENT_IDX, Features::RING_PACKED.union(Features::EVENT_IDX)];

/// Connects again and starts the queue at the base that QEMU would send.
fn reconnect(guest: &mut TestGuest, host: &Host) {
    guest.reconnect(host.connect());
    guest.start_at(0, guest.base_after_a_crash(0));
}

/// Accepts a device and starts its queue, in a thread of its own.
fn accept_started(listener: UnixListener) -> JoinHandle<(UnixListener, TestDevice, Queue)> {
    std::thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, Offer::default());
        let queue = device.serve_until_started(0);
        (listener, device, queue)
    })
}

#[test]
fn requests_in_flight_complete_once_although_later_ones_were_first() {
    for features in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let listener = TestDevice::listen(directory.path());
        let mut host = Host::start(directory, &["--device", "blk"]);
        let accepting = accept_started(listener);
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
        let accepting = accept_started(listener);
        reconnect(&mut guest, &host);
        let (_listener, device, mut queue) = accepting.join().unwrap();
        for number in [0, 3, 4, 5u32] {
            assert_eq!(device.echo(0, &mut queue), number.to_le_bytes());
            assert_eq!(guest.reap(0, &mut driver), (number, 4));
            assert_eq!(guest.bytes(DATA + u64::from(number) * 64 + 4, 4), number.to_le_bytes());
        }
    }
}

/// A process may end after it has returned a request and before it notifies the guest, and QEMU
/// discards what a queue's first file descriptor receives before the second one is set.
#[test]
fn the_guest_of_a_queue_that_starts_again_is_notified() {
    for features in FORMATS {
        let Parts { mut host, mut guest, mut driver, device, mut queue, listener } =
            started(features, Offer::default(), &["--device", "blk"]);
        guest.request(&mut driver, 0, b"question", 8, 1);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (1, 8));
        host.restart();
        let accepting = accept_started(listener);
        reconnect(&mut guest, &host);
        guest.wait_for_call(0, Instant::now() + TIMEOUT);
        guest.replace_call(0);
        guest.wait_for_call(0, Instant::now() + TIMEOUT);
        accepting.join().unwrap();
    }
}

#[test]
fn kills_at_random_under_load_lose_no_request() {
    each_request_completes_once_despite(|host, _| host.restart());
}

#[test]
fn disconnects_at_random_under_load_lose_no_request() {
    each_request_completes_once_despite(|_, guest| guest.disconnect());
}

/// Runs a load, and calls `interrupt` many times meanwhile.
fn each_request_completes_once_despite(interrupt: fn(&mut Host, &mut TestGuest)) {
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
        let mut load = Load::default();
        let mut kills = 0;
        let mut deadline = Instant::now() + TIMEOUT;
        let mut next_kill = Instant::now();
        while kills < KILLS || !load.in_flight.is_empty() {
            assert!(Instant::now() < deadline, "{:?} are lost: {:#?}", load.in_flight, host.new_lines());
            if kills < KILLS {
                load.add(&guest, &mut driver);
            }
            guest.publish(0, &mut driver);
            if load.reap(&guest, &mut driver) > 0 {
                deadline = Instant::now() + TIMEOUT;
            }
            if kills < KILLS && Instant::now() > next_kill {
                interrupt(&mut host, &mut guest);
                reconnect(&mut guest, &host);
                kills += 1;
                // The distance to the next kill differs each time.
                next_kill = Instant::now() + Duration::from_micros(u64::from(kills * 7919 % 3000));
            }
        }
        assert!(load.completed > KILLS, "{} requests", load.completed);
    }
}

/// Requests that a guest makes and compares.
#[derive(Default)]
struct Load {
    made: u32,
    completed: u32,
    /// The slot in memory of each request in flight.
    in_flight: BTreeMap<u32, u64>,
}

impl Load {
    /// The number of bytes of a slot.
    const SLOT: u64 = 0x2_0000;

    /// Returns the length of a request. Some requests are long, so that kills hit copies, too.
    fn len(number: u32) -> u32 {
        if number % 7 == 0 { 40_000 } else { 16 }
    }

    /// Adds requests until eight are in flight.
    fn add(&mut self, guest: &TestGuest, driver: &mut guest::Queue) {
        while self.in_flight.len() < 8 {
            let slot = (0..).find(|slot| !self.in_flight.values().any(|taken| taken == slot)).unwrap_or(0);
            let (number, len) = (self.made, Self::len(self.made));
            let bytes = number.to_le_bytes().repeat(len as usize / 4);
            guest.request(driver, slot * Self::SLOT, &bytes, len, number);
            self.in_flight.insert(number, slot);
            self.made += 1;
        }
    }

    /// Takes used buffers back and compares them. Returns how many there were.
    fn reap(&mut self, guest: &TestGuest, driver: &mut guest::Queue) -> usize {
        let before = self.in_flight.len();
        while let Some(used) = driver.reap().unwrap() {
            let (number, len) = (used.cookie, used.written);
            let slot = self.in_flight.remove(&number).expect("no request comes back twice");
            assert_eq!(len, Self::len(number));
            let address = DATA + slot * Self::SLOT + u64::from(len);
            assert_eq!(guest.bytes(address, len), number.to_le_bytes().repeat(len as usize / 4));
            self.completed += 1;
        }
        before - self.in_flight.len()
    }
}

#[test]
fn an_in_flight_description_may_be_unpadded() {
    // The specification has 20 bytes; QEMU and others pad them to 24.
    const SPECIFIED: usize = 20;
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    let host = Host::start(directory, &[]);
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let asked = Inflight { queues: 2, queue_size: 16, ..Inflight::default() };
    for len in [SPECIFIED, size_of::<Inflight>()] {
        let mut reply = guest.ask(Message::request(Request::GetInflightFd, &asked.as_bytes()[..len]));
        assert_eq!(reply.payload.len(), len);
        assert_eq!(reply.payload[16..20], asked.as_bytes()[16..20]);
        assert_ne!(reply.payload[..8], [0; 8]);
        let give = Message::request(Request::SetInflightFd, &reply.payload[..]);
        guest.order(Request::SetInflightFd, give.with_fd(reply.take_fd().unwrap()));
    }
    for len in [0, SPECIFIED - 1, SPECIFIED + 1, size_of::<Inflight>() + 1] {
        let reply = guest.ask(Message::request(Request::GetInflightFd, &[0; 32][..len]));
        assert_eq!((reply.payload.len(), reply.fds.len()), (0, 0));
    }
}

#[test]
fn a_journal_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    std::thread::spawn(move || serve_honestly(TestDevice::accept(&listener, Offer::default())));
    let mut host = Host::start(directory, &[]);
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let file = rustix::fs::memfd_create("foreign", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
    rustix::fs::ftruncate(&file, 1 << 30).unwrap();
    let inflight = Inflight { size: 1 << 30, queues: 2, queue_size: 16, ..Inflight::default() };
    let message = Message::request(Request::SetInflightFd, &inflight).with_fd(file).needing_reply();
    assert_eq!(guest.ask(message).body(), Ok(1u64));
    host.wait_for("was made by another program");
}
