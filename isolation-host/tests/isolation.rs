//! Requests with a guest and a device that follow the rules.

mod support;

use std::time::Instant;

use isolation_host::protocol::Request;
use ring_core::Features;
use ring_core::memory::Memory as _;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use support::TIMEOUT;
use support::device::{Offer, TestDevice};
use support::started::{FORMATS, Parts, started};

#[test]
fn requests_go_through_with_any_ring_format_on_either_side() {
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
                // Bytes that the device did not write are unchanged.
                assert_eq!(guest.bytes(answer + 4, 12), [0xee; 12]);
            }
        }
    }
}

#[test]
fn a_block_devices_status_is_copied_even_if_the_length_omits_it() {
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
fn a_device_that_reconnects_gets_what_was_in_flight_in_order() {
    for (features, kind) in FORMATS.into_iter().flat_map(|format| ["blk", "net"].map(|kind| (format, kind))) {
        let Parts { guest, mut driver, device, mut queue, listener, host: _host } =
            started(features, Offer::default(), &["--device", kind]);
        let at = |number: u32| u64::from(number) * 64;
        for number in 0..6 {
            guest.request(&mut driver, at(number), &number.to_le_bytes(), 4, number);
        }
        guest.publish(0, &mut driver);
        // The device takes four requests, completes the second one, and dies.
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

/// Cloud Hypervisor lets confidential guests do so.
#[test]
fn a_guest_may_use_platform_addresses_and_no_device_is_asked_to() {
    for format in [Features::empty(), Features::RING_PACKED] {
        for of_device in [Features::empty(), Features::ACCESS_PLATFORM] {
            let honest = Offer::default();
            let offer = Offer { features: honest.features | of_device.bits(), ..honest };
            let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
                started(format | Features::ACCESS_PLATFORM, offer, &[]);
            assert_eq!(device.asked & Features::ACCESS_PLATFORM.bits(), 0);
            let answer = guest.request(&mut driver, 0, b"question", 8, 1);
            guest.publish(0, &mut driver);
            device.echo(0, &mut queue);
            assert_eq!(guest.reap(0, &mut driver), (1, 8));
            assert_eq!(guest.bytes(answer, 8), b"question");
        }
    }
}

/// Waits for a notification of queue 0, serves no message meanwhile, and drops the notification.
fn drop_notification(device: &TestDevice) {
    let kick = device.vrings[&0].kick.as_ref().unwrap();
    let timeout = Timespec::try_from(TIMEOUT).unwrap();
    assert!(poll(&mut [PollFd::new(kick, PollFlags::IN)], Some(&timeout)).unwrap() > 0, "no notification");
    rustix::io::read(kick, &mut [0; 8]).unwrap();
}

/// Devices that use the crate vhost-user-backend drop notifications of a queue that is not enabled.
#[test]
fn a_device_is_notified_again_when_its_queue_is_enabled() {
    // The second offer has no REPLY_ACK.
    for protocol in [Offer::default().protocol, Offer::default().protocol & !(1 << 3)] {
        let offer = Offer { protocol, ..Offer::default() };
        let Parts { guest, mut driver, device, mut queue, listener, host: _host } =
            started(Features::EVENT_IDX, offer, &["--device", "blk"]);
        guest.request(&mut driver, 0, b"question", 8, 1);
        guest.publish(0, &mut driver);
        let _taken = device.take(0, &mut queue);
        drop(device);

        let mut device = TestDevice::accept(&listener, offer);
        device.serve_until(Request::SetVringKick);
        // The queue is started, and then the request is submitted again.
        (0..2).for_each(|_| drop_notification(&device));
        let mut queue = device.queue(0);
        let kick = device.vrings[&0].kick.as_ref().unwrap().try_clone().unwrap();
        device.serve_until(Request::SetVringEnable);
        let deadline = Instant::now() + TIMEOUT;
        while rustix::io::read(&kick, &mut [0; 8]).is_err() {
            device.wait(&kick, deadline);
        }
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver).0, 1);
    }
}

#[test]
fn a_signal_logs_the_statistics_of_each_queue() {
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
    host.wait_for("VMM connected, device connected");
    let line = host.wait_for("queue 0: 1 requests");
    assert!(line.contains("16 bytes to the device, 8 to the guest"), "{line}");
    assert!(line.contains("1 in flight, 1024 of"), "{line}");
}

#[test]
fn the_process_has_no_privileges_and_cannot_regain_them() {
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
