//! Devices that answer late. The VMM continues, and the device catches up.

mod support;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use isolation_host::protocol::payload::ConfigHeader;
use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use support::device::{Offer, TestDevice};
use support::guest::{self, TestGuest};
use support::started::{Parts, started};
use support::{Host, TIMEOUT};
use zerocopy::IntoBytes as _;

/// A VMM waits this long for a device in most of these tests.
const WAIT: &str = "20";

/// A device that answers only when the test wants it to.
struct Withheld {
    /// Lets the device continue until it has served this request.
    until: Sender<Request>,
    /// Tells that the device has served the request.
    served: Receiver<()>,
    device: JoinHandle<TestDevice>,
}

impl Withheld {
    /// Starts isolation-host with a device that can be reset and has completed the handshake.
    fn start(options: &[&str]) -> (Host, Self) {
        let offer = Offer::default();
        Self::start_with(Offer { protocol: offer.protocol | 1 << 13, ..offer }, options)
    }

    /// Starts isolation-host with a device that has completed the handshake.
    fn start_with(offer: Offer, options: &[&str]) -> (Host, Self) {
        let directory = tempfile::tempdir().unwrap();
        let listener = TestDevice::listen(directory.path());
        let host = Host::start(directory, options);
        let (until, requests) = channel();
        let (sender, served) = channel();
        let device = thread::spawn(move || {
            let mut device = TestDevice::accept(&listener, offer);
            device.serve_until(Request::GetQueueNum);
            for request in requests {
                device.serve_until(request);
                sender.send(()).unwrap();
            }
            device
        });
        (host, Self { until, served, device })
    }

    fn serve_until(&self, request: Request) {
        self.until.send(request).unwrap();
        self.served.recv_timeout(TIMEOUT).unwrap();
    }

    /// Ends the thread and returns the device, so that the test serves it.
    fn into_device(self) -> TestDevice {
        drop(self.until);
        self.device.join().unwrap()
    }
}

/// Exchanges one request.
fn echo(guest: &TestGuest, driver: &mut guest::Queue, mut device: TestDevice) -> TestDevice {
    let mut queue = device.serve_until_started(0);
    guest.request(driver, 0, b"question", 16, 7);
    guest.publish(0, driver);
    device.echo(0, &mut queue);
    assert_eq!(guest.reap(0, driver), (7, 8));
    device
}

#[test]
fn a_queue_is_started_although_the_device_does_not_answer() {
    // The second offer has no REPLY_ACK.
    for protocol in [Offer::default().protocol, Offer::default().protocol & !(1 << 3)] {
        let offer = Offer { protocol, ..Offer::default() };
        let (mut host, device) = Withheld::start_with(offer, &["--device-wait-ms", WAIT]);
        let mut guest = TestGuest::new(host.connect(), Features::empty());
        let mut driver = guest.start(0);
        let _device = echo(&guest, &mut driver, device.into_device());
        assert_eq!(host.new_warnings(), 0);
    }
}

#[test]
fn a_queue_is_stopped_and_started_although_the_device_does_not_answer() {
    for packed in [Features::empty(), Features::RING_PACKED] {
        let (mut host, device) = Withheld::start(&["--device-wait-ms", WAIT]);
        let mut guest = TestGuest::new(host.connect(), packed);
        let mut driver = guest.start(0);
        let device = echo(&guest, &mut driver, device.into_device());
        let base = guest.stop(0);
        guest.start_at(0, base);
        // The device has not stopped the queue yet, so it gets it only later.
        let mut device = device;
        device.serve_until(Request::GetVringBase);
        assert!(device.vrings.is_empty());
        let _device = echo(&guest, &mut driver, device);
        assert_eq!(host.new_warnings(), 0);
    }
}

#[test]
fn a_reset_succeeds_although_the_device_does_not_answer() {
    let (mut host, device) = Withheld::start(&["--device-wait-ms", WAIT]);
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut driver = guest.start(0);
    let mut device = echo(&guest, &mut driver, device.into_device());
    guest.order(Request::ResetDevice, Message::request(Request::ResetDevice, &[0u8; 0]));
    guest.kicks.clear();
    guest.calls.clear();
    let mut driver = guest.start(0);
    device.serve_until(Request::ResetDevice);
    let _device = echo(&guest, &mut driver, device);
    assert_eq!(host.new_warnings(), 0);
}

#[test]
fn a_device_that_pauses_in_its_handshake_delays_no_message_and_is_used() {
    let Parts { mut host, mut guest, mut driver, device, listener, .. } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    drop(device);
    host.wait_for("the device is lost");
    let mut device = TestDevice::accept(&listener, Offer::default());
    device.serve_until(Request::SetOwner);
    let asked = device.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
    assert_eq!(asked.request, Request::GetProtocolFeatures as u32);
    // The device owes this reply, and the VMM is served.
    guest.settle();
    device.send(&asked.reply(&device.offer.protocol));
    let _device = echo(&guest, &mut driver, device);
    assert_eq!(host.new_warnings(), 0);
}

/// Asks for 16 bytes of the configuration.
fn ask_config(guest: &mut TestGuest) -> Message {
    let header = ConfigHeader { offset: 16, size: 16, flags: 0 };
    let payload = [header.as_bytes(), &[0; 16]].concat();
    guest.ask(Message::request(Request::GetConfig, &payload[..]))
}

#[test]
fn a_configuration_that_comes_late_is_the_answer_to_the_next_request() {
    let (host, device) = Withheld::start(&["--device-wait-ms", WAIT]);
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    // An empty payload says that the request has failed.
    assert_eq!(ask_config(&mut guest).payload.len(), 0);
    device.serve_until(Request::GetConfig);
    let deadline = Instant::now() + TIMEOUT;
    while ask_config(&mut guest).payload.is_empty() {
        assert!(Instant::now() < deadline, "the configuration is not used");
    }
}

/// Prints the longest time that a message of the VMM takes. When isolation-host waited for each
/// answer, a device that takes 300 ms for an answer took 2.1 s to start a queue.
#[test]
fn no_message_waits_for_all_answers_of_a_slow_device() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let host = Host::start(directory, &["--device-wait-ms", "100"]);
    thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, Offer::default());
        loop {
            thread::sleep(Duration::from_millis(300));
            if device.step(Instant::now() + TIMEOUT).is_none() {
                return;
            }
        }
    });
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut longest = Duration::ZERO;
    let mut time = |what: &str, act: &mut dyn FnMut(&mut TestGuest)| {
        let begun = Instant::now();
        act(&mut guest);
        println!("{what}: {:?}", begun.elapsed());
        longest = longest.max(begun.elapsed());
    };
    time("start of a queue, 6 messages", &mut |guest| drop(guest.start(0)));
    time("configuration", &mut |guest| drop(ask_config(guest)));
    time("stop of the queue", &mut |guest| assert_eq!(guest.stop(0), 0));
    assert!(longest < TIMEOUT);
}
