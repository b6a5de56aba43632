//! Queues that are stopped while requests are in flight.

mod support;

use std::time::Instant;

use isolation_host::protocol::Request;
use ring_core::Features;
use support::PATIENCE;
use support::device::{Offer, TestDevice};
use support::started::{FORMATS, Parts, started};

#[test]
fn buffers_that_wait_for_what_may_come_are_back_in_the_ring_when_their_queue_is_stopped() {
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
        while device.step(Instant::now() + PATIENCE) != Some(Request::GetVringBase) {}
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
fn a_queue_whose_device_is_gone_is_stopped_at_once_with_all_requests_in_its_ring() {
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
