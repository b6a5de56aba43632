//! What goes through, and what comes back, when everyone behaves.

mod support;

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use isolation_host::protocol::{BackendRequest, Channel, Message, Request};
use ring_core::Features;
use ring_core::memory::Memory as _;
use support::PATIENCE;
use support::device::{Offer, TestDevice};
use support::started::{FORMATS, Parts, started};

#[test]
fn requests_go_through_whatever_rings_the_two_sides_use() {
    requests_go_through(&[]);
}

#[test]
fn requests_go_through_on_several_threads_that_poll() {
    requests_go_through(&["--threads", "3", "--poll-us", "200"]);
}

fn requests_go_through(options: &[&str]) {
    for features in FORMATS {
        for packed in [false, true] {
            let mut offer = Offer::default();
            offer.features |= if packed { Features::RING_PACKED.bits() } else { 0 };
            let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
                started(features, offer, options);
            for round in 0..40u32 {
                let answer = guest.request(&mut driver, 0, &round.to_le_bytes(), 16, round);
                guest.publish(0, &mut driver);
                assert_eq!(device.echo(0, &mut queue), round.to_le_bytes());
                assert_eq!(guest.reap(0, &mut driver), (round, 4));
                assert_eq!(guest.bytes(answer, 4), round.to_le_bytes());
                // What the device did not write is as the guest left it.
                assert_eq!(guest.bytes(answer + 4, 12), [0xee; 12]);
            }
        }
    }
}

#[test]
fn a_block_devices_status_goes_back_even_if_the_device_does_not_count_it() {
    let options = ["--device", "blk"];
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &options);
    let answer = guest.request(&mut driver, 0, b"flush", 1, 1);
    guest.publish(0, &mut driver);
    let (token, _, writable) = device.take(0, &mut queue);
    device.memory[0].write_bytes(writable[0].address, &[0x42]).unwrap();
    queue.complete(token, 0).unwrap();
    let _ = queue.publish();
    device.call(0);
    assert_eq!(guest.reap(0, &mut driver), (1, 0));
    assert_eq!(guest.bytes(answer, 1), [0x42]);
}

#[test]
fn a_device_that_comes_back_gets_what_was_in_flight_in_order_and_the_guest_gets_each_once() {
    for features in FORMATS {
        let Parts { guest, mut driver, device, mut queue, listener, host: _host } =
            started(features, Offer::default(), &["--device", "blk"]);
        let at = |number: u32| u64::from(number) * 64;
        for number in 0..6 {
            guest.request(&mut driver, at(number), &number.to_le_bytes(), 4, number);
        }
        guest.publish(0, &mut driver);
        // It takes four, finishes the second, and dies.
        let mut taken: Vec<_> = (0..4).map(|_| device.take(0, &mut queue)).collect();
        let (token, bytes, writable) = taken.remove(1);
        device.memory[0].write_bytes(writable[0].address, &bytes).unwrap();
        queue.complete(token, 4).unwrap();
        let _ = queue.publish();
        drop(device);
        let mut device = TestDevice::accept(&listener, Offer::default());
        let mut queue = device.serve_until_started(0);
        let served: Vec<Vec<u8>> = (0..5).map(|_| device.echo(0, &mut queue)).collect();
        assert_eq!(served, [0u32, 2, 3, 4, 5].map(|number| number.to_le_bytes().to_vec()));
        let mut returned: Vec<u32> = (0..6).map(|_| guest.reap(0, &mut driver).0).collect();
        returned.sort_unstable();
        assert_eq!(returned, [0, 1, 2, 3, 4, 5]);
    }
}

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
fn a_signal_has_each_queue_say_what_it_has_done() {
    let Parts { mut host, guest, mut driver, device, mut queue, .. } =
        started(Features::empty(), Offer::default(), &[]);
    guest.request(&mut driver, 0, b"question", 16, 1);
    guest.publish(0, &mut driver);
    device.echo(0, &mut queue);
    guest.reap(0, &mut driver);
    guest.request(&mut driver, 64, b"question", 16, 2);
    guest.publish(0, &mut driver);
    let _taken = device.take(0, &mut queue);
    let pid = rustix::process::Pid::from_raw(i32::try_from(host.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    let line = host.wait_for("queue 0: 1 requests");
    assert!(line.contains("16 bytes to the device, 8 to the guest"), "{line}");
    assert!(line.contains("1 in flight, 512 of"), "{line}");
}

#[test]
fn the_process_has_no_privileges_and_no_way_back_to_them() {
    let Parts { host, .. } = started(Features::empty(), Offer::default(), &["--threads", "2"]);
    let threads: Vec<_> = std::fs::read_dir(format!("/proc/{}/task", host.id())).unwrap().collect();
    assert_eq!(threads.len(), 3);
    for thread in threads {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for line in
            ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000"]
        {
            assert!(status.contains(line), "{line}: {status}");
        }
    }
}

#[test]
fn the_vmm_hears_that_the_configuration_has_changed_but_not_all_the_time() {
    let mut offer = Offer::default();
    offer.protocol |= 1 << 5;
    let Parts { mut guest, device, host: _host, .. } = started(Features::empty(), offer, &[]);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let message = Message::request(Request::SetBackendReqFd, &[0u8; 0]).with_fd(theirs.into());
    guest.order(Request::SetBackendReqFd, message);
    let (mut news, mut requests) = (Channel::new(ours.into()), device.requests.unwrap());
    let change = || Message::request(BackendRequest::ConfigChangeMsg, &[0u8; 0]);
    for _ in 0..100 {
        requests.send(&change().needing_reply()).unwrap();
        assert_eq!(requests.receive_by(Instant::now() + PATIENCE).unwrap().body(), Ok(0u64));
    }
    let heard = news.receive_by(Instant::now() + PATIENCE).unwrap();
    assert_eq!(heard.request, BackendRequest::ConfigChangeMsg as u32);
    // The others were one change, and it is told as well, later.
    assert!(news.receive_by(Instant::now() + PATIENCE).is_ok());
    let more = std::iter::from_fn(|| news.receive().unwrap()).count();
    assert!(more < 50, "{more}");
}

#[test]
fn a_device_that_owes_an_answer_still_gets_requests() {
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &[]);
    let question = [0u32, 0, 0].map(u32::to_ne_bytes);
    guest.channel.send(&Message::request(Request::GetConfig, question.as_flattened())).unwrap();
    let asked = Instant::now();
    for number in 0..100 {
        guest.request(&mut driver, 0, b"question", 8, number);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (number, 8));
    }
    // isolation-host is still waiting for the answer: it would have hung up otherwise.
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert!(device.channel.send(&Message::request(Request::GetConfig, question.as_flattened())).is_ok());
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
    let starting = std::thread::spawn(move || {
        let mut device = TestDevice::accept(&listener, Offer::default());
        let queue = device.serve_until_started(0);
        (device, queue)
    });
    guest.reconnect(host.connect());
    guest.start_at(0, 3);
    let (device, mut queue) = starting.join().unwrap();
    guest.request(&mut driver, 0, b"question", 8, 7);
    guest.publish(0, &mut driver);
    device.echo(0, &mut queue);
    assert_eq!(guest.reap(0, &mut driver), (7, 8));
}

#[test]
fn a_disks_guest_is_told_of_the_largest_requests_that_fit_and_gets_them_done_when_many_do_not_fit_at_once() {
    let options = ["--device", "blk", "--area-size", "8M"];
    let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &options);
    let question = [0u32.to_ne_bytes(), 60u32.to_ne_bytes(), [0; 4]].concat();
    let question = [question, vec![0; 60]].concat();
    let (size_max, seg_max) = std::thread::scope(|scope| {
        let answer = scope.spawn(|| guest.ask(Message::request(Request::GetConfig, &question[..])));
        for _ in 0..2 {
            assert_eq!(device.step(Instant::now() + PATIENCE), Some(Request::GetConfig));
        }
        let answer = answer.join().unwrap().payload;
        let number = |at: usize| u32::from_le_bytes(answer[12 + at..][..4].try_into().unwrap());
        (number(8), number(12))
    });
    let bytes = size_max * seg_max;
    assert!((1 << 20..2 << 20).contains(&bytes), "{size_max} × {seg_max}");
    let data = vec![0x77; bytes as usize / 2];
    for number in 0..3u32 {
        guest.request(&mut driver, u64::from(number * bytes), &data, bytes / 2, number);
    }
    guest.publish(0, &mut driver);
    for _ in 0..3 {
        assert_eq!(device.echo(0, &mut queue).len(), data.len());
    }
    let returned: Vec<(u32, u32)> = (0..3).map(|_| guest.reap(0, &mut driver)).collect();
    assert_eq!(returned, [0, 1, 2].map(|number| (number, bytes / 2)));
}

/// The next request that comes back to a guest whose VMM is gone, so that nobody notifies it.
fn poll_used(driver: &mut support::guest::Queue) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(used) = driver.reap().unwrap() {
            return used.cookie;
        }
        assert!(Instant::now() < deadline, "a request is lost");
        std::thread::yield_now();
    }
}
