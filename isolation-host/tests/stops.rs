//! Queues that are stopped while requests are in flight.

mod support;

use std::os::unix::net::UnixStream;
use std::time::Instant;

use isolation_host::protocol::payload::VringState;
use isolation_host::protocol::{Message, Request};
use ring_core::{Arm, Features};
use rustix::event::{PollFd, PollFlags, poll};
use support::TIMEOUT;
use support::device::{Offer, TestDevice};
use support::started::{FORMATS, Parts, started};

#[test]
fn a_stop_puts_idle_receive_buffers_back_into_the_ring() {
    for features in FORMATS {
        let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
            started(features, Offer::default(), &["--device", "net"]);
        for number in 0..6 {
            guest.request(&mut driver, u64::from(number) * 64, b"", 32, number);
        }
        guest.publish(0, &mut driver);
        let taken: Vec<_> = (0..3).map(|_| device.take(0, &mut queue)).collect();
        let mut taken = taken.into_iter();
        let (first, _, _) = taken.next().unwrap();
        queue.complete(first, 7).unwrap();
        let _ = queue.publish();
        device.call(0);
        assert_eq!(guest.reap(0, &mut driver), (0, 7));
        let stopping = std::thread::spawn(move || {
            let base = guest.stop(0);
            (guest, base)
        });
        device.serve_until(Request::GetVringBase);
        let (mut guest, base) = stopping.join().unwrap();
        let starting = std::thread::spawn(move || {
            guest.start_at(0, base);
            guest
        });
        let mut queue = device.serve_until_started(0);
        let guest = starting.join().unwrap();
        for number in 1..6 {
            device.echo(0, &mut queue);
            assert_eq!(guest.reap(0, &mut driver), (number, 0));
        }
    }
}

#[test]
fn a_stop_without_a_device_puts_all_requests_back_at_once() {
    for features in FORMATS {
        let options = ["--device", "blk", "--drain-timeout", "3600"];
        let Parts { host, mut guest, mut driver, device, mut queue, listener } =
            started(features, Offer::default(), &options);
        for number in 0..3 {
            guest.request(&mut driver, u64::from(number) * 64, b"question", 8, number);
        }
        guest.publish(0, &mut driver);
        let _taken = device.take(0, &mut queue);
        drop((device, listener));
        std::fs::remove_file(host.device_socket()).unwrap();
        let base = guest.stop(0);
        assert_eq!(base, if features.contains(Features::RING_PACKED) { 0x8000_8000 } else { 0 });

        let listener = std::os::unix::net::UnixListener::bind(host.device_socket()).unwrap();
        let starting = std::thread::spawn(move || {
            let mut device = TestDevice::accept(&listener, Offer::default());
            let queue = device.serve_until_started(0);
            (device, queue)
        });
        guest.start_at(0, base);
        let (device, mut queue) = starting.join().unwrap();
        for number in 0..3 {
            device.echo(0, &mut queue);
            assert_eq!(guest.reap(0, &mut driver), (number, 8));
        }
    }
}

/// Answers messages, but serves no requests, until the other end of `until` is closed.
fn answer_messages(device: &mut TestDevice, until: &UnixStream) {
    loop {
        let mut fds = [PollFd::new(&device.channel, PollFlags::IN), PollFd::new(until, PollFlags::IN)];
        poll(&mut fds, None).unwrap();
        if !fds[1].revents().is_empty() {
            return;
        }
        device.step(Instant::now() + TIMEOUT).unwrap();
    }
}

#[test]
fn requests_not_yet_fetched_complete_before_a_paused_queue_stops() {
    for features in FORMATS {
        let Parts { mut host, mut guest, mut driver, mut device, mut queue, .. } =
            started(features, Offer::default(), &["--device", "fs"]);
        for number in 0..3 {
            guest.request(&mut driver, u64::from(number) * 64, b"question", 8, number);
        }
        guest.publish(0, &mut driver);
        while queue.arm() != Arm::Pending {}
        let (hold, held) = UnixStream::pair().unwrap();
        let answering = std::thread::spawn(move || {
            answer_messages(&mut device, &held);
            device
        });
        for request in [Request::SetVringEnable, Request::GetVringBase] {
            guest.channel.send(&Message::request(request, &VringState::default())).unwrap();
        }
        host.wait_for("queue 0 stops when 3 requests are done");
        drop(hold);
        let mut device = answering.join().unwrap();
        // A device with a disabled queue would not fetch further requests.
        assert!(device.vrings[&0].enabled);
        for number in 0..3 {
            device.echo(0, &mut queue);
            assert_eq!(guest.reap(0, &mut driver), (number, 8));
        }
        device.serve_until(Request::GetVringBase);
        let base = guest.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
        assert_eq!(base.request, Request::GetVringBase as u32);
    }
}

#[test]
fn a_stopping_queue_takes_no_requests_although_its_device_is_replaced() {
    for features in FORMATS {
        let Parts { mut host, guest, mut driver, device, mut queue, listener } =
            started(features, Offer::default(), &["--device", "blk"]);
        for number in 0..2 {
            guest.request(&mut driver, u64::from(number) * 64, b"question", 8, number);
        }
        guest.publish(0, &mut driver);
        // The second request is completed, so the first one cannot go back into the ring.
        let _first = device.take(0, &mut queue);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (1, 8));
        guest.channel.send(&Message::request(Request::GetVringBase, &VringState::default())).unwrap();
        host.wait_for("queue 0 stops when 1 requests are done");
        guest.request(&mut driver, 2 * 64, b"later", 8, 2);
        guest.publish(0, &mut driver);
        drop(device);
        let mut device = TestDevice::accept(&listener, Offer::default());
        let mut queue = device.serve_until_started(0);
        assert_eq!(device.echo(0, &mut queue), b"question");
        assert_eq!(guest.reap(0, &mut driver), (0, 8));
        device.serve_until(Request::GetVringBase);
        assert_eq!(queue.arm(), Arm::Armed);
    }
}
