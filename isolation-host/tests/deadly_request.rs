//! A request that crashes every device that gets it. The request fails after three devices; other
//! requests are served.

mod support;

use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use isolation_host::device_type::DeviceType;
use ring_core::memory::Memory as _;
use ring_core::{Features, Segment};
use support::Host;
use support::device::{Offer, Queue, TestDevice};
use support::guest::TestGuest;
use support::stepped::{DATA, Stepped};

const DEADLY: &[u8] = b"deadly";
/// The number of devices that a deadly request crashes, if the first device also has other
/// requests: one loss that only makes the requests suspects, and three losses for which no other
/// request can be at fault.
const LOSSES: usize = 1 + 3;
/// `VIRTIO_BLK_S_IOERR`.
const FAILED: u8 = 1;

/// Serves two queues until a deadly request is taken, or all `requests` are served. Returns whether
/// the device survives.
fn serve(listener: &UnixListener, requests: &mut usize) -> bool {
    let mut device = TestDevice::accept(listener, Offer::default());
    let mut queues: Vec<Queue> = (0..2).map(|index| device.serve_until_started(index)).collect();
    while *requests > 0 {
        for (index, queue) in (0..).zip(&mut queues) {
            let mut segments = [Segment::default(); 64];
            let Some(chain) = queue.pop(&mut segments).unwrap() else { continue };
            let mut start = [0; DEADLY.len()];
            device.memory[0].read_bytes(chain.readable()[0].address, &mut start).unwrap();
            if start == DEADLY {
                return false;
            }
            let status = chain.writable()[0].address;
            device.memory[0].write_bytes(status, &[0]).unwrap();
            queue.complete(chain.into_token(), 1).unwrap();
            let _ = queue.publish();
            device.call(index);
            *requests -= 1;
        }
        std::thread::yield_now();
    }
    true
}

/// Serves `requests` good requests with as many devices as necessary. Returns how many devices
/// crashed.
fn serve_with_crashes(listener: UnixListener, mut requests: usize) -> JoinHandle<usize> {
    std::thread::spawn(move || (0..1000).take_while(|_| !serve(&listener, &mut requests)).count())
}

#[test]
fn a_request_that_crashes_three_devices_fails_and_no_other_does() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let mut host = Host::start(directory, &["--device", "blk"]);
    let crashes = serve_with_crashes(listener, 11);
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut drivers = [guest.start(0), guest.start(1)];
    let statuses: Vec<u64> = (0..12u32)
        .map(|number| {
            let bytes = if number == 4 { DEADLY } else { b"harmless" };
            guest.request(&mut drivers[number as usize % 2], u64::from(number) * 64, bytes, 1, number)
        })
        .collect();
    for (index, driver) in (0..).zip(&mut drivers) {
        guest.publish(index, driver);
        let mut returned = [0; 6].map(|_| guest.reap(index, driver).0);
        returned.sort_unstable();
        assert_eq!(returned, [0, 2, 4, 6, 8, 10].map(|number| number + index));
    }
    let statuses: Vec<u8> = statuses.into_iter().map(|at| guest.bytes(at, 1)[0]).collect();
    assert_eq!(statuses, [0, 0, 0, 0, FAILED, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(crashes.join().unwrap(), LOSSES);
    let line = host.wait_for("WARN a request on queue 0 fails");
    assert!(line.contains("6 bytes to the device"), "{line}");
}

/// Makes a request whose first byte is `number`.
fn request(queue: &mut Stepped, number: u8) {
    let at = DATA + 0x100 * u64::from(number);
    queue.memory.write_bytes(at, &[number; 16]).unwrap();
    queue.request(&[Segment::new(at, 16)], &[Segment::new(at + 16, 1)], number.into());
}

/// Returns the status of the request with this number.
fn status(queue: &Stepped, number: u8) -> u8 {
    queue.bytes(DATA + 0x100 * u64::from(number) + 16, 1)[0]
}

/// Serves requests until the device gets request 3, or no request is left. Returns whether the
/// device crashed.
fn serve_or_crash(queue: &mut Stepped) -> bool {
    serve_or_crash_on(queue, 3)
}

/// Serves requests until the device gets the `deadly` request, or no request is left. Returns
/// whether the device crashed.
fn serve_or_crash_on(queue: &mut Stepped, deadly: u8) -> bool {
    while let Some((token, bytes, writable)) = queue.take() {
        if bytes[0] == deadly {
            queue.lose_device();
            return true;
        }
        queue.window.write_bytes(writable[0].address, &[0]).unwrap();
        queue.complete(token, 1);
    }
    false
}

#[test]
fn requests_in_flight_with_a_deadly_one_are_delivered_and_complete() {
    let mut queue = Stepped::new(DeviceType::Blk);
    // The device takes the deadly request first, so all others are in flight with it.
    for number in [3, 1, 2, 4, 5] {
        request(&mut queue, number);
    }
    let mut crashes = 0;
    while crashes < 1000 && serve_or_crash(&mut queue) {
        crashes += 1;
        queue.connect_device();
        queue.run();
    }
    assert_eq!((crashes, queue.forwarded.in_flight()), (LOSSES, 0));
    let mut returned: Vec<u32> = std::iter::from_fn(|| queue.reap()).map(|(cookie, _)| cookie).collect();
    returned.sort_unstable();
    assert_eq!(returned, [1, 2, 3, 4, 5]);
    assert_eq!([1, 2, 3, 4, 5].map(|number| status(&queue, number)), [0, 0, FAILED, 0, 0]);
}

#[test]
fn the_count_of_lost_devices_survives_a_kill_of_isolation_host() {
    let mut queue = Stepped::new(DeviceType::Blk);
    request(&mut queue, 3);
    for _ in 0..2 {
        assert!(serve_or_crash(&mut queue));
        queue.restart();
        queue.run();
        assert_eq!(queue.reap(), None);
    }
    assert!(serve_or_crash(&mut queue));
    queue.run();
    assert_eq!(queue.reap(), Some((3, 0)));
    assert_eq!(status(&queue, 3), FAILED);
}

#[test]
fn a_device_that_is_replaced_without_being_lost_is_not_counted() {
    let mut queue = Stepped::new(DeviceType::Blk);
    request(&mut queue, 3);
    for _ in 0..5 {
        queue.connect_device();
        queue.run();
        assert!(queue.take().is_some());
    }
    assert_eq!(queue.reap(), None);
}

#[test]
fn nine_losses_without_progress_are_spread_over_four_requests() {
    let mut queue = Stepped::new(DeviceType::Blk);
    for number in 1..=4 {
        request(&mut queue, number);
    }
    // The first loss makes all requests suspects; each suspect then survives two more losses.
    for _ in 0..1 + 2 * 4 {
        queue.lose_device();
        queue.connect_device();
        queue.run();
    }
    assert_eq!(queue.reap(), None);
    assert!(!serve_or_crash_on(&mut queue, 0));
    assert_eq!([1, 2, 3, 4].map(|number| status(&queue, number)), [0; 4]);
}

#[test]
fn new_requests_overtake_a_request_that_is_on_trial() {
    let mut queue = Stepped::new(DeviceType::Blk);
    request(&mut queue, 1);
    request(&mut queue, 2);
    queue.lose_device();
    queue.connect_device();
    queue.run();
    let (on_trial, bytes, _) = queue.take().unwrap();
    assert_eq!((bytes[0], queue.take()), (1, None));
    request(&mut queue, 4);
    assert!(!serve_or_crash_on(&mut queue, 0));
    assert_eq!(queue.reap(), Some((4, 1)));
    // The other suspect waits for the end of the trial.
    assert_eq!(queue.reap(), None);
    queue.complete(on_trial, 1);
    assert_eq!(queue.reap(), Some((1, 1)));
    assert!(!serve_or_crash_on(&mut queue, 0));
    assert_eq!(queue.reap(), Some((2, 1)));
}

#[test]
fn a_suspect_that_never_completes_does_not_delay_other_suspects_for_long() {
    let directory = tempfile::tempdir().unwrap();
    let listener = TestDevice::listen(directory.path());
    let host = Host::start(directory, &["--device", "blk"]);
    let device = std::thread::spawn(move || {
        // Each device gets a request on both queues, and completes none.
        for _ in 0..2 {
            let mut device = TestDevice::accept(&listener, Offer::default());
            let mut queues: Vec<Queue> = (0..2).map(|index| device.serve_until_started(index)).collect();
            (0..).zip(&mut queues).for_each(|(index, queue)| drop(device.take(index, queue)));
        }
    });
    let mut guest = TestGuest::new(host.connect(), Features::empty());
    let mut drivers = [guest.start(0), guest.start(1)];
    for (index, driver) in (0..).zip(&mut drivers) {
        guest.request(driver, u64::from(index) * 64, b"harmless", 1, index);
        guest.publish(index, driver);
    }
    device.join().unwrap();
}
