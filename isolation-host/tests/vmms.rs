//! VMMs that disconnect and reconnect.

mod support;

use std::os::unix::net::UnixListener;
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use support::TIMEOUT;
use support::device::{Offer, Queue, TestDevice};
use support::guest;
use support::started::{Parts, started};

/// Accepts the next device and starts its queue, in a thread of its own.
fn accept_next(listener: UnixListener, offer: Offer) -> JoinHandle<(TestDevice, Queue)> {
    spawn(move || {
        let mut device = TestDevice::accept(&listener, offer);
        let queue = device.serve_until_started(0);
        (device, queue)
    })
}

#[test]
fn requests_complete_while_the_vmm_is_disconnected() {
    let Parts { host, mut guest, mut driver, device, mut queue, listener } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    for number in 0..3 {
        guest.request(&mut driver, u64::from(number) * 64, b"question", 8, number);
    }
    guest.publish(0, &mut driver);
    let taken: Vec<_> = (0..3).map(|_| device.take(0, &mut queue)).collect();
    // The VMM disconnects with three requests in flight, and the device continues.
    guest.disconnect();
    for (token, _, _) in taken.into_iter().rev() {
        queue.complete(token, 8).unwrap();
    }
    let _ = queue.publish();
    device.call(0);
    let returned: Vec<u32> = std::iter::from_fn(|| Some(poll_used(&mut driver))).take(3).collect();
    assert_eq!(returned, [2, 1, 0]);

    // The VMM connects again, and so does the device.
    let starting = accept_next(listener, Offer::default());
    guest.reconnect(host.connect());
    guest.start_at(0, 3);
    let (device, mut queue) = starting.join().unwrap();
    guest.request(&mut driver, 0, b"question", 8, 7);
    guest.publish(0, &mut driver);
    device.echo(0, &mut queue);
    assert_eq!(guest.reap(0, &mut driver), (7, 8));
}

/// Polls for the next used buffer of a guest whose VMM is gone, and which gets no notifications.
fn poll_used(driver: &mut guest::Queue) -> u32 {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(used) = driver.reap().unwrap() {
            return used.cookie;
        }
        assert!(Instant::now() < deadline, "a request is lost");
        std::thread::yield_now();
    }
}

#[test]
fn a_device_that_reconnects_without_a_vmm_gets_the_old_features() {
    let Parts { mut host, mut guest, mut driver, device, mut queue, listener } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    guest.request(&mut driver, 0, b"question", 8, 1);
    guest.publish(0, &mut driver);
    let _taken = device.take(0, &mut queue);
    let asked = device.asked;
    guest.disconnect();
    host.wait_for("the VMM is gone");
    drop(device);
    let (device, mut queue) = accept_next(listener, Offer::default()).join().unwrap();
    assert_eq!(device.asked, asked);
    device.echo(0, &mut queue);
    assert_eq!(poll_used(&mut driver), 1);
}

#[test]
fn the_loss_of_a_stateful_device_discards_its_requests() {
    let Parts { mut host, mut guest, mut driver, device, mut queue, listener } =
        started(Features::empty(), Offer::default(), &["--device", "fs"]);
    guest.request(&mut driver, 0, b"old", 8, 1);
    guest.publish(0, &mut driver);
    let _taken = device.take(0, &mut queue);
    drop(device);
    host.wait_for("the VMM is gone: its device is lost");
    let starting = accept_next(listener, Offer::default());
    guest.reconnect(host.connect());
    let mut driver = guest.start(0);
    let (device, mut queue) = starting.join().unwrap();
    guest.request(&mut driver, 0, b"new", 8, 2);
    guest.publish(0, &mut driver);
    assert_eq!(device.echo(0, &mut queue), b"new");
}

#[test]
fn between_two_vmms_a_device_may_change_its_features() {
    let Parts { mut host, mut guest, device, listener, .. } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    guest.disconnect();
    host.wait_for("the VMM is gone");
    drop(device);
    let other = Offer { features: Offer::default().features & !0b100, ..Offer::default() };
    let starting = accept_next(listener, other);
    guest.reconnect(host.connect());
    let offered = guest.ask(Message::request(Request::GetFeatures, &[0u8; 0])).body::<u64>().unwrap();
    assert_eq!(offered & 0b100, 0, "{:#?}", host.new_lines());
    guest.start(0);
    starting.join().unwrap();
}

#[test]
fn a_device_that_is_connected_and_silent_does_not_block_a_vmm() {
    let Parts { mut host, mut guest, device, listener, .. } =
        started(Features::empty(), Offer::default(), &["--device", "blk"]);
    // isolation-host connects at once, but the device does not answer.
    drop(device);
    host.wait_for("the device is lost");
    (0..10).for_each(|_| guest.settle());
    guest.stop(0);
    // The next VMM does not have to wait long either.
    guest.disconnect();
    guest.reconnect(host.connect());
    guest.settle();
    // Both VMMs were answered while the device still had time to reply.
    let lines = host.new_lines();
    assert!(!lines.iter().any(|line| line.contains("the peer does not answer")), "{lines:#?}");
    drop(listener.accept().unwrap());
    let starting = accept_next(listener, Offer::default());
    guest.start(0);
    starting.join().unwrap();
}
