//! Devices such as snd-host mistake a ring at an unexpected position for the ring of a new driver.
//! A paused guest keeps its streams only if the ring of such a device continues at the position at
//! which the device has left it.

mod support;

use std::thread;
use std::time::Instant;

use isolation_host::protocol::payload::VringState;
use isolation_host::protocol::{Message, Request};
use ring_core::{Features, Position};
use support::TIMEOUT;
use support::device::{Offer, Queue, TestDevice};
use support::guest::{self, TestGuest};
use support::started::{FORMATS, Parts, started};

/// The bits of a vring base that a device transmits: all bits, or the bits that common libraries
/// transmit.
const BASES: [u32; 2] = [u32::MAX, 0xffff];

/// Returns what a device with this ring format offers.
fn offer(format: Features) -> Offer {
    let offer = Offer::default();
    Offer { features: offer.features | format.bits(), ..offer }
}

/// Returns the position at which a driver begins.
fn beginning(format: Features) -> u32 {
    if format.contains(Features::RING_PACKED) { Position::PACKED_START.packed_base() } else { 0 }
}

/// Exchanges requests on queue 0.
fn exchange(
    (guest, driver): (&TestGuest, &mut guest::Queue),
    (device, queue): (&TestDevice, &mut Queue),
    count: u32,
) {
    for number in 0..count {
        guest.request(driver, 0, b"question", 8, number);
        guest.publish(0, driver);
        assert_eq!(device.echo(0, queue), b"question");
        assert_eq!(guest.reap(0, driver), (number, 8));
    }
}

/// Stops queue 0 while the device answers. Returns the guest's vring base.
fn stop(guest: &mut TestGuest, device: TestDevice) -> (u32, TestDevice) {
    let mut device = device;
    thread::scope(|scope| {
        let answering = scope.spawn(move || {
            device.serve_until(Request::GetVringBase);
            device
        });
        (guest.stop(0), answering.join().unwrap())
    })
}

/// Starts queue 0 while the device answers.
fn start<T>(
    guest: &mut TestGuest,
    device: TestDevice,
    start: impl FnOnce(&mut TestGuest) -> T,
) -> (T, TestDevice, Queue) {
    let mut device = device;
    thread::scope(|scope| {
        let answering = scope.spawn(move || {
            let queue = device.serve_until_started(0);
            (device, queue)
        });
        let started = start(guest);
        let (device, queue) = answering.join().unwrap();
        (started, device, queue)
    })
}

#[test]
fn a_device_finds_its_ring_where_it_has_left_it_after_a_pause() {
    for format in FORMATS {
        for mask in BASES {
            let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
                started(format, offer(format), &["--device", "snd"]);
            // The ring wraps around more than once, and is left in its middle.
            for pause in 1..4 {
                exchange((&guest, &mut driver), (&device, &mut queue), 37);
                let left = queue.vring_base();
                assert_ne!(left & mask, beginning(format) & mask);
                device.left.insert(0, left & mask);
                let base;
                (base, device) = stop(&mut guest, device);
                ((), device, queue) = start(&mut guest, device, |guest| guest.start_at(0, base));
                assert_eq!(device.vrings[&0].base, left, "pause {pause} of {format:?}, {mask:#x}");
                assert_eq!(queue.vring_base(), left, "the ring is not where its base says");
            }
            exchange((&guest, &mut driver), (&device, &mut queue), 37);
        }
    }
}

#[test]
fn idle_buffers_that_a_device_puts_back_come_again_after_a_pause() {
    for format in FORMATS {
        let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
            started(format, offer(format), &["--device", "net"]);
        exchange((&guest, &mut driver), (&device, &mut queue), 5);
        let left = queue.vring_base();
        for number in 0..4 {
            guest.request(&mut driver, u64::from(number) * 64, &[], 8, number);
        }
        guest.publish(0, &mut driver);
        let (first, ..) = device.take(0, &mut queue);
        let (second, ..) = device.take(0, &mut queue);
        assert!(queue.unpop(second).is_ok() && queue.unpop(first).is_ok());
        device.left.insert(0, left);
        let (base, device) = stop(&mut guest, device);
        let ((), device, mut queue) = start(&mut guest, device, |guest| guest.start_at(0, base));
        assert_eq!(device.vrings[&0].base, left);
        for number in 0..4 {
            device.echo(0, &mut queue);
            assert_eq!(guest.reap(0, &mut driver), (number, 0));
        }
    }
}

#[test]
fn a_device_whose_driver_has_been_reset_sees_a_new_ring() {
    for format in FORMATS {
        let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
            started(format, offer(format), &["--device", "snd"]);
        exchange((&guest, &mut driver), (&device, &mut queue), 5);
        device.left.insert(0, queue.vring_base());
        let (_, device) = stop(&mut guest, device);
        let (mut driver, device, mut queue) = start(&mut guest, device, |guest| guest.start(0));
        assert_eq!(device.vrings[&0].base, beginning(format));
        exchange((&guest, &mut driver), (&device, &mut queue), 5);
    }
}

/// The device reports a position that does not exist in the ring, or the position of another queue.
#[test]
fn a_device_that_lies_about_its_position_gets_a_new_ring() {
    for format in FORMATS {
        for (index, num) in [(0, 0x7fff), (0, u32::MAX), (1, 3), (u32::MAX, 3)] {
            let Parts { mut guest, mut driver, mut device, mut queue, mut host, .. } =
                started(format, offer(format), &["--device", "snd"]);
            exchange((&guest, &mut driver), (&device, &mut queue), 5);
            let base = thread::scope(|scope| {
                let stopping = scope.spawn(|| guest.stop(0));
                let asked = device.channel.receive_by(Instant::now() + TIMEOUT).unwrap();
                device.send(&asked.reply(&VringState { index, num }));
                stopping.join().unwrap()
            });
            device.vrings.clear();
            let ((), device, mut queue) = start(&mut guest, device, |guest| guest.start_at(0, base));
            exchange((&guest, &mut driver), (&device, &mut queue), 20);
            assert!(host.is_alive() && host.new_warnings() == 0);
        }
    }
}

/// This happens with a device that is busy when its guest is paused.
#[test]
fn a_position_that_comes_late_is_used() {
    for format in FORMATS {
        let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
            started(format, offer(format), &["--device", "snd", "--device-wait-ms", "20"]);
        exchange((&guest, &mut driver), (&device, &mut queue), 5);
        let left = queue.vring_base();
        device.left.insert(0, left);
        let base = guest.stop(0);
        guest.start_at(0, base);
        device.serve_until(Request::GetVringBase);
        let mut queue = device.serve_until_started(0);
        assert_eq!(device.vrings[&0].base, left);
        exchange((&guest, &mut driver), (&device, &mut queue), 20);
    }
}

/// A reset makes the device forget its queues, wherever the VMM starts them.
#[test]
fn a_device_that_was_reset_sees_a_new_ring() {
    for format in FORMATS {
        let resettable = offer(format);
        let resettable = Offer { protocol: resettable.protocol | 1 << 13, ..resettable };
        let Parts { mut guest, mut driver, mut device, mut queue, host: _host, .. } =
            started(format, resettable, &["--device", "snd"]);
        exchange((&guest, &mut driver), (&device, &mut queue), 5);
        device.left.insert(0, queue.vring_base());
        let guest_at = driver.position();
        let packed = format.contains(Features::RING_PACKED);
        let base = if packed { guest_at.packed_base() } else { guest_at.split_base() };
        let device = thread::scope(|scope| {
            let answering = scope.spawn(move || {
                device.serve_until(Request::SetFeatures);
                device
            });
            guest.order(Request::ResetDevice, Message::request(Request::ResetDevice, &[0u8; 0]));
            let features = guest.features.bits() | 1 << 30;
            guest.order(Request::SetFeatures, Message::request(Request::SetFeatures, &features));
            answering.join().unwrap()
        });
        guest.forget(0);
        let ((), device, mut queue) = start(&mut guest, device, |guest| guest.start_at(0, base));
        assert_eq!(device.vrings[&0].base, beginning(format));
        exchange((&guest, &mut driver), (&device, &mut queue), 5);
    }
}
