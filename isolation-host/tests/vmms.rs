//! VMMs that come and go.

mod support;

use std::os::unix::net::UnixListener;
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use support::PATIENCE;
use support::device::{Offer, Queue, TestDevice};
use support::guest;
use support::started::{Parts, started};

/// A device that is started when isolation-host and a VMM have found it.
fn next(listener: UnixListener, offer: Offer) -> JoinHandle<(TestDevice, Queue)> {
    spawn(move || {
        let mut device = TestDevice::accept(&listener, offer);
        let queue = device.serve_until_started(0);
        (device, queue)
    })
}

#[test]
fn a_vmm_that_goes_and_comes_back_finds_everything_finished() {
    let Parts { host, mut guest, mut driver, device, mut queue, listener } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    for number in 0..3 {
        guest.request(&mut driver, u64::from(number) * 64, b"question", 8, number);
    }
    guest.publish(0, &mut driver);
    let taken: Vec<_> = (0..3).map(|_| device.take(0, &mut queue)).collect();
    // The VMM hangs up with all three in flight, and the device goes on as if nothing were.
    guest.hang_up();
    for (token, _, _) in taken.into_iter().rev() {
        queue.complete(token, 8).unwrap();
    }
    let _ = queue.publish();
    device.call(0);
    let returned: Vec<u32> = std::iter::from_fn(|| Some(poll_used(&mut driver))).take(3).collect();
    assert_eq!(returned, [2, 1, 0]);

    // It is let in again, and so is the device.
    let starting = next(listener, Offer::default());
    guest.reconnect(host.connect());
    guest.start_at(0, 3);
    let (device, mut queue) = starting.join().unwrap();
    guest.request(&mut driver, 0, b"question", 8, 7);
    guest.publish(0, &mut driver);
    device.echo(0, &mut queue);
    assert_eq!(guest.reap(0, &mut driver), (7, 8));
}

/// The next request that comes back to a guest whose VMM is gone, so that nobody notifies it.
fn poll_used(driver: &mut guest::Queue) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(used) = driver.reap().unwrap() {
            return used.cookie;
        }
        assert!(Instant::now() < deadline, "a request is lost");
        std::thread::yield_now();
    }
}

#[test]
fn a_device_that_comes_back_while_no_vmm_is_there_gets_what_is_left_with_the_features_it_was_meant_for() {
    let Parts { mut host, mut guest, mut driver, device, mut queue, listener } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    guest.request(&mut driver, 0, b"question", 8, 1);
    guest.publish(0, &mut driver);
    let _taken = device.take(0, &mut queue);
    let asked = device.asked;
    guest.hang_up();
    host.wait_for("the VMM is gone");
    drop(device);
    let (device, mut queue) = next(listener, Offer::default()).join().unwrap();
    assert_eq!(device.asked, asked);
    device.echo(0, &mut queue);
    assert_eq!(poll_used(&mut driver), 1);
}

#[test]
fn when_a_device_has_died_with_its_state_the_next_vmm_is_let_in_and_nothing_is_left_for_the_next_device() {
    let Parts { mut host, mut guest, mut driver, device, mut queue, listener } =
        started(Features::empty(), Offer::default(), &["--device", "fs"]);
    guest.request(&mut driver, 0, b"old", 8, 1);
    guest.publish(0, &mut driver);
    let _taken = device.take(0, &mut queue);
    drop(device);
    host.wait_for("the VMM is gone: its device is lost");
    let starting = next(listener, Offer::default());
    guest.reconnect(host.connect());
    let mut driver = guest.start(0);
    let (device, mut queue) = starting.join().unwrap();
    guest.request(&mut driver, 0, b"new", 8, 2);
    guest.publish(0, &mut driver);
    assert_eq!(device.echo(0, &mut queue), b"new");
}

#[test]
fn between_two_vmms_a_device_may_become_another() {
    let Parts { mut host, mut guest, device, listener, .. } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    guest.hang_up();
    host.wait_for("the VMM is gone");
    drop(device);
    let other = Offer { features: Offer::default().features & !0b100, ..Offer::default() };
    let starting = next(listener, other);
    guest.reconnect(host.connect());
    let offered = guest.ask(Message::request(Request::GetFeatures, &[0u8; 0])).body::<u64>().unwrap();
    assert_eq!(offered & 0b100, 0, "{:#?}", host.new_lines());
    guest.start(0);
    starting.join().unwrap();
}

#[test]
fn a_device_that_is_connected_and_silent_holds_up_no_vmm() {
    let Parts { mut host, mut guest, device, listener, .. } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    // isolation-host is connected at once, but nobody answers.
    drop(device);
    host.wait_for("the device is lost");
    let start = Instant::now();
    (0..10).for_each(|_| guest.settle());
    guest.stop(0);
    // Nor is the next one kept waiting for long.
    guest.hang_up();
    guest.reconnect(host.connect());
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    drop(listener.accept().unwrap());
    let starting = next(listener, Offer::default());
    guest.start(0);
    starting.join().unwrap();
}
