//! A device that searches all memory that it has for data that the guest once wrote.

mod support;

use std::os::fd::OwnedFd;
use std::time::Instant;

use isolation_host::mmap::Window;
use isolation_host::protocol::{Message, Request};
use ring_core::Features;
use ring_core::memory::Memory as _;
use rustix::fs::fstat;
use support::TIMEOUT;
use support::device::{Offer, Queue, TestDevice};
use support::guest::{self, TestGuest};
use support::started::{Parts, started};

const CANARY: &[u8; 16] = b"a guest's secret";
/// The lengths of requests whose data lies in a shared block, in a block of its own, in a large
/// block, and in several blocks.
const LENGTHS: [usize; 4] = [64, 600, 70_000, 1_500_000];

/// Returns all memory of a device.
fn everything(area: &Window) -> Vec<u8> {
    let mut all = vec![0; usize::try_from(area.size()).unwrap()];
    area.read_bytes(area.address(), &mut all).unwrap();
    all
}

/// Returns how often the canary is in the device's memory.
fn found(area: &Window) -> usize {
    everything(area).chunks_exact(CANARY.len()).filter(|bytes| bytes == CANARY).count()
}

/// Waits until the canary is not in the device's memory any more.
fn wait_until_gone(area: &Window) {
    let deadline = Instant::now() + TIMEOUT;
    while found(area) > 0 {
        assert!(Instant::now() < deadline, "the device still finds {} copies", found(area));
    }
}

/// Makes a request of `len` bytes of the canary, which the device serves without writing.
fn serve(
    (guest, driver): (&TestGuest, &mut guest::Queue),
    (device, queue): (&TestDevice, &mut Queue),
    len: usize,
) {
    guest.request(driver, 0, &CANARY.repeat(len.div_ceil(CANARY.len()))[..len], 16, 1);
    guest.publish(0, driver);
    let (token, bytes, _) = device.take(0, queue);
    assert!(bytes.starts_with(CANARY) && found(&device.memory[0]) >= len / CANARY.len());
    queue.complete(token, 0).unwrap();
    let _ = queue.publish();
    device.call(0);
    assert_eq!(guest.reap(0, driver), (1, 0));
}

#[test]
fn data_of_a_completed_request_is_gone_after_a_bounded_time() {
    for features in [Features::empty(), Features::RING_PACKED] {
        let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
            started(features, Offer::default(), &["--area-size", "8M"]);
        for len in LENGTHS {
            serve((&guest, &mut driver), (&device, &mut queue), len);
            wait_until_gone(&device.memory[0]);
        }
    }
}

#[test]
fn a_worker_under_load_scrubs_as_well_as_one_that_sleeps() {
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &["--area-size", "8M"]);
    serve((&guest, &mut driver), (&device, &mut queue), 70_000);
    let deadline = Instant::now() + TIMEOUT;
    // The worker never sleeps for long, because there are other requests.
    while found(&device.memory[0]) > 0 {
        guest.request(&mut driver, 0, b"x", 16, 2);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (2, 1));
        assert!(Instant::now() < deadline, "the data stays");
    }
}

#[test]
fn a_device_cannot_answer_with_the_data_of_a_completed_request() {
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &["--area-size", "8M", "--scrub", "always"]);
    for len in LENGTHS {
        serve((&guest, &mut driver), (&device, &mut queue), len);
        let answer = guest.request(&mut driver, 0, b"x", 16, 2);
        guest.publish(0, &mut driver);
        let (token, _, writable) = device.take(0, &mut queue);
        // The device answers with the canary, if any copy is left.
        let area = &device.memory[0];
        let stolen = found(area).min(1);
        area.write_bytes(writable[0].address, &CANARY.repeat(stolen)).unwrap();
        queue.complete(token, 16).unwrap();
        let _ = queue.publish();
        device.call(0);
        assert_eq!(guest.reap(0, &mut driver), (2, 16));
        assert_eq!(guest.bytes(answer, 16), [0; 16], "{len}");
    }
}

/// The offer of a device that can be reset.
fn offer() -> Offer {
    let offer = Offer::default();
    Offer { protocol: offer.protocol | 1 << 13, ..offer }
}

/// Without scrubbing, all data stays until the queue stops.
const NEVER: [&str; 4] = ["--area-size", "8M", "--scrub", "never"];

#[test]
fn a_reset_empties_the_area() {
    let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
        started(Features::empty(), offer(), &NEVER);
    serve((&guest, &mut driver), (&device, &mut queue), 70_000);
    assert!(found(&device.memory[0]) > 0);
    let area = device.memory[0].clone();
    let serving = std::thread::spawn(move || device.serve_until(Request::ResetDevice));
    guest.order(Request::ResetDevice, Message::request(Request::ResetDevice, &[0u8; 0]));
    serving.join().unwrap();
    assert!(everything(&area).iter().all(|byte| *byte == 0));
}

#[test]
fn a_stopped_queue_leaves_no_data() {
    let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &NEVER);
    serve((&guest, &mut driver), (&device, &mut queue), 70_000);
    assert!(found(&device.memory[0]) > 0);
    let area = device.memory[0].clone();
    let serving = std::thread::spawn(move || {
        device.serve_until(Request::GetVringBase);
        device
    });
    guest.stop(0);
    let _device = serving.join().unwrap();
    assert_eq!(found(&area), 0);
}

fn inode(file: &OwnedFd) -> u64 {
    fstat(file).unwrap().st_ino
}

#[test]
fn a_device_that_reconnects_gets_a_new_area() {
    let options = [&["--device", "blk"], &NEVER[..]].concat();
    let Parts { guest, mut driver, device, mut queue, listener, host: _host } =
        started(Features::empty(), Offer::default(), &options);
    serve((&guest, &mut driver), (&device, &mut queue), 70_000);
    let (area, file) = (device.memory[0].clone(), inode(&device.files[0]));
    assert!(found(&area) > 0);
    drop(device);
    let mut next = TestDevice::accept(&listener, Offer::default());
    next.serve_until_started(0);
    assert_ne!(file, inode(&next.files[0]));
    assert_eq!((found(&area), found(&next.memory[0])), (0, 0));
}

#[test]
fn the_device_of_the_next_vmm_gets_a_new_area_and_the_old_one_has_no_data() {
    let Parts { mut guest, mut driver, device, mut queue, listener, host } =
        started(Features::empty(), Offer::default(), &NEVER);
    serve((&guest, &mut driver), (&device, &mut queue), 70_000);
    assert!(found(&device.memory[0]) > 0);
    guest.disconnect();
    let next = std::thread::spawn(move || {
        let mut next = TestDevice::accept(&listener, Offer::default());
        next.serve_until_started(0);
        next
    });
    // Without its VMM, the device would be disconnected before its queue is started.
    let mut vmm = TestGuest::new(host.connect(), Features::empty());
    vmm.start(0);
    let next = next.join().unwrap();
    assert_eq!((found(&device.memory[0]), found(&next.memory[0])), (0, 0));
    assert_ne!(inode(&device.files[0]), inode(&next.files[0]));
}
