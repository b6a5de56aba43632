//! A malicious device against the real process: lies about used buffers, notifications, messages,
//! replies, features, queues and its own end, and silence at each step. After each lie the VMM is
//! answered, another queue moves, the request itself comes back once, and the process lives.

#[path = "malicious/lies.rs"]
mod lies;
mod support;

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use isolation_host::protocol::payload::ConfigHeader;
use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use support::device::{Offer, TestDevice};
use support::guest::{Queue, TestGuest};
use support::{Host, TIMEOUT};
use zerocopy::IntoBytes as _;

/// The smallest number of cases that this suite has to have.
const ENOUGH: usize = 80;
/// How long a message of the VMM waits for the device.
const BOUND: &str = "20";
/// What isolation-host logs when it disconnects a device that owes replies.
const GIVEN_UP: &str = "the peer does not answer";

/// isolation-host, a guest with two queues, and a device.
struct Bench {
    host: Host,
    guest: TestGuest,
    drivers: [Queue; 2],
    listener: UnixListener,
    offer: Offer,
    /// The cookie of the latest requests.
    number: u32,
    /// The longest time that the VMM has waited for two answers.
    longest: Duration,
}

impl Drop for Bench {
    fn drop(&mut self) {
        println!("the VMM waited for at most {:?} for two answers", self.longest);
    }
}

fn offer(format: Features) -> Offer {
    let offer = Offer::default();
    // Without indirect tables, each request is a descriptor chain in memory that the device can
    // write.
    let features = (offer.features | format.bits()) & !Features::INDIRECT_DESC.bits();
    Offer { features, ..offer }
}

/// Accepts a device and serves it until both queues are started.
fn accept(listener: &UnixListener, offer: Offer) -> TestDevice {
    let mut device = TestDevice::accept(listener, offer);
    for index in 0..2 {
        device.serve_until_started(index);
    }
    device
}

impl Bench {
    fn new(format: Features) -> (Self, TestDevice) {
        let directory = tempfile::tempdir().unwrap();
        let listener = TestDevice::listen(directory.path());
        let host = Host::start(directory, &["--device", "blk", "--device-wait-ms", BOUND]);
        let offer = offer(format);
        let accepting = std::thread::spawn(move || {
            let device = accept(&listener, offer);
            (listener, device)
        });
        let mut guest = TestGuest::new(host.connect(), Features::empty());
        let drivers = [guest.start(0), guest.start(1)];
        let (listener, device) = accepting.join().unwrap();
        (Self { host, guest, drivers, listener, offer, number: 0, longest: Duration::ZERO }, device)
    }

    /// Makes a request on each queue.
    fn request(&mut self) {
        self.number += 1;
        for (index, driver) in (0..).zip(&mut self.drivers) {
            self.guest.request(driver, 0x1000 * u64::from(index), b"question", 16, self.number);
            self.guest.publish(index, driver);
        }
    }

    /// Sends messages to which the VMM needs an answer, whatever the device does.
    fn ask(&mut self) {
        let begun = Instant::now();
        self.guest.settle();
        let header = ConfigHeader { offset: 0, size: 16, flags: 0 };
        let payload = [header.as_bytes(), &[0; 16]].concat();
        self.guest.ask(Message::request(Request::GetConfig, &payload[..]));
        self.longest = self.longest.max(begun.elapsed());
        // The VMM was answered while the device still had time to reply.
        let lines = self.host.new_lines();
        assert!(!lines.iter().any(|line| line.contains(GIVEN_UP)), "{:?}: {lines:#?}", self.longest);
    }

    /// Lets an honest device serve both queues until both requests have been returned, each exactly
    /// once.
    fn recover(&mut self, name: &str) -> TestDevice {
        let honest = accept(&self.listener, self.offer);
        let mut queues = [honest.queue(0), honest.queue(1)];
        let mut back = [0, 0];
        let deadline = Instant::now() + TIMEOUT;
        while back != [1, 1] {
            assert!(Instant::now() < deadline, "a device that {name}: {back:?} requests came back");
            for index in 0..2 {
                honest.echo_if_any(u32::try_from(index).unwrap(), &mut queues[index]);
                while let Some(used) = self.drivers[index].reap().unwrap() {
                    assert_eq!(used.cookie, self.number, "a device that {name}");
                    back[index] += 1;
                }
            }
        }
        assert!(self.host.is_alive(), "a device that {name}");
        honest
    }
}

/// For each lie, lets a device tell the lie, and lets an honest device follow. Returns the number
/// of lies.
fn survive(format: Features, lies: Vec<lies::Lie>) -> usize {
    let (mut bench, mut device) = Bench::new(format);
    for (name, lie) in &lies {
        bench.request();
        let mut queue = device.queue(0);
        let _taken = device.take(0, &mut queue);
        lie(&device);
        device.call(0);
        bench.ask();
        drop(device);
        drop(bench.recover(name));
        device = accept(&bench.listener, bench.offer);
    }
    lies.len()
}

/// Lets a device behave badly from its connection on, and lets an honest device follow.
fn survive_the_next(bench: &mut Bench, name: &str, behave: impl FnOnce(&mut TestDevice)) {
    bench.request();
    let mut liar = TestDevice::accept(&bench.listener, bench.offer);
    behave(&mut liar);
    bench.ask();
    drop(liar);
    drop(bench.recover(name));
}

const FORMATS: [Features; 3] =
    [Features::empty(), Features::RING_PACKED, Features::RING_PACKED.union(Features::EVENT_IDX)];

fn lies_about_the_ring() -> usize {
    let rings = FORMATS.map(|format| survive(format, lies::about_used_buffers()));
    let notifications = FORMATS.map(|format| survive(format, lies::about_notifications()));
    let flags = survive(Features::RING_PACKED, lies::about_flags());
    rings.into_iter().chain(notifications).sum::<usize>() + flags
}

fn lies_in_messages() -> usize {
    survive(Features::empty(), lies::about_messages()) + survive(Features::empty(), lies::about_the_end())
}

/// The number of messages until both queues are started.
const MESSAGES: usize = 18;

/// A device closes its connection before it answers one of its messages, or keeps silent.
fn ends_and_silences() -> usize {
    for silent in [false, true] {
        let (mut bench, device) = Bench::new(Features::empty());
        drop(device);
        for count in 0..MESSAGES {
            let what = if silent { "keeps silent" } else { "disconnects" };
            survive_the_next(&mut bench, &format!("{what} after {count} messages"), |device| {
                for _ in 0..count {
                    device.step(Instant::now() + TIMEOUT);
                }
                if !silent {
                    rustix::net::shutdown(&device.channel, rustix::net::Shutdown::Both).unwrap();
                }
            });
        }
    }
    2 * MESSAGES
}

/// Offers that are unlike those of the first device, or impossible.
fn lies_in_the_handshake() -> usize {
    let honest = offer(Features::empty());
    let features = [0, 1 << 32, u64::MAX, honest.features ^ 1 << 30, honest.features | 1 << 33];
    let protocols = [0, 1, u64::MAX, honest.protocol ^ 1 << 3, honest.protocol ^ 1 << 15];
    let queues = [0, 1, 3, 255, 256, 65_536, u64::MAX];
    let features = features.map(|features| Offer { features, ..honest });
    let protocols = protocols.map(|protocol| Offer { protocol, ..honest });
    let queues = queues.map(|queues| Offer { queues, ..honest });
    let offers: Vec<Offer> = features.into_iter().chain(protocols).chain(queues).collect();
    let (mut bench, device) = Bench::new(Features::empty());
    drop(device);
    for offer in &offers {
        survive_the_next(&mut bench, &format!("offers {offer:?}"), |device| {
            device.offer = *offer;
            let is_started =
                |device: &TestDevice| device.vrings.values().filter(|ring| ring.enabled).count() > 1;
            while !is_started(device) && device.step(Instant::now() + TIMEOUT).is_some() {}
        });
    }
    offers.len()
}

/// Replies to a message of the VMM that is relayed to the device.
fn lies_in_replies() -> usize {
    type Reply = (&'static str, fn(&Message) -> Message);
    let replies: [Reply; 8] = [
        ("no payload", |message| message.reply(&[0u8; 0])),
        ("3 bytes", |message| message.reply(&[0u8; 3])),
        ("4096 bytes", |message| message.reply(&[0xffu8; 4096])),
        ("another size", |message| message.reply(&[0xffu8; 28])),
        ("another message", |message| Message::request(77u32, &message.payload[..]).reply(&0u64)),
        ("a request", |message| Message::request(message.request, &message.payload[..])),
        ("the previous message", |_| Message::request(Request::SetVringKick, &0u64).reply(&0u64)),
        ("zeros", |message| message.reply(&[0u8; 12])),
    ];
    for (name, reply) in replies {
        let (mut bench, mut device) = Bench::new(Features::empty());
        bench.request();
        std::thread::scope(|scope| {
            let answering = scope.spawn(move || {
                let asked = device.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
                device.send(&reply(&asked));
                drop(device);
            });
            bench.ask();
            answering.join().unwrap();
        });
        drop(bench.recover(&format!("answers with {name}")));
    }
    replies.len()
}

#[test]
fn a_malicious_device_holds_up_neither_the_vmm_nor_another_queue() {
    let counts = [
        ("rings", lies_about_the_ring()),
        ("messages", lies_in_messages()),
        ("ends and silences", ends_and_silences()),
        ("handshakes", lies_in_the_handshake()),
        ("replies", lies_in_replies()),
    ];
    println!("{counts:?}");
    assert!(counts.iter().map(|(_, count)| count).sum::<usize>() >= ENOUGH);
}
