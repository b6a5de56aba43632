//! Tests what a device can see of the guest's memory, and what a request can see of the data of
//! earlier requests.

mod support;

use std::os::fd::{AsRawFd as _, OwnedFd};

use ring_core::Features;
use ring_core::memory::Memory as _;
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use support::device::Offer;
use support::guest::{RAM, RAM_SIZE, USER};
use support::started::{FORMATS, Parts, started};

/// Returns what a file descriptor is.
fn kind(fd: &OwnedFd) -> String {
    match socket_type(fd) {
        Ok(SocketType::DGRAM) => "datagram socket".to_owned(),
        Ok(other) => format!("socket of type {other:?}"),
        Err(_) => {
            let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
            std::fs::read_link(link).unwrap().display().to_string()
        }
    }
}

#[test]
fn nothing_that_a_device_receives_leads_to_guest_memory() {
    for features in FORMATS {
        let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
            started(features, Offer::default(), &["--area-size", "16M"]);
        for at in (RAM + RAM_SIZE / 2..RAM + RAM_SIZE).step_by(6) {
            guest.memory.write_bytes(at.min(RAM + RAM_SIZE - 6), b"secret").unwrap();
        }
        guest.request(&mut driver, 0, b"not secret", 16, 1);
        guest.publish(0, &mut driver);
        let (_, _, writable) = device.take(0, &mut queue);

        // The device has one file with memory, and two files for the notifications of its queue.
        let mut kinds: Vec<String> = device.given.iter().map(kind).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, ["/memfd:isolated-area (deleted)", "anon_inode:[eventfd]", "datagram socket"]);

        // The area has the data of the request and no other data of the guest.
        let area = &device.memory[0];
        let mut all = vec![0; usize::try_from(area.size()).unwrap()];
        area.read_bytes(area.address(), &mut all).unwrap();
        let all = all.chunks(4096).filter(|page| **page != [0; 4096]).collect::<Vec<_>>().concat();
        assert_eq!(all.windows(6).filter(|bytes| *bytes == b"secret").count(), 1);

        // No number in messages or in the area is an address of guest memory, in the guest or in
        // the VMM.
        let words = device.told.iter().chain([&all]).flat_map(|bytes| bytes.chunks_exact(8));
        let addresses = words.map(|word| u64::from_le_bytes(word.try_into().unwrap()));
        let of_guest = |address: &u64| [RAM, USER].iter().any(|at| (*at..at + RAM_SIZE).contains(address));
        assert_eq!(addresses.filter(of_guest).collect::<Vec<_>>(), [0; 0]);
        assert!(writable.iter().all(|segment| area.contains(segment.address, segment.len.into())));
    }
}

#[test]
fn the_guest_never_gets_bytes_of_an_earlier_request() {
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &[]);
    for len in [16u32, 600, 5000, 70_000] {
        // The first request fills blocks for both directions.
        let mark = vec![0xaa; len as usize];
        guest.request(&mut driver, 0, &mark, len, 1);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (1, len));
        // In the second request, the device writes nothing and claims to have written everything.
        let answer = guest.request(&mut driver, 0, b"x", len, 2);
        guest.publish(0, &mut driver);
        let (token, _, _) = device.take(0, &mut queue);
        queue.complete(token, len).unwrap();
        let _ = queue.publish();
        device.call(0);
        assert_eq!(guest.reap(0, &mut driver), (2, len));
        assert_eq!(guest.bytes(answer, len), vec![0; len as usize]);
    }
}

#[test]
fn a_partly_filled_buffer_is_zeroed_for_the_next_request() {
    const LEN: u32 = 5000;
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &[]);
    for (id, written) in [(1u32, 1u32), (2, 64), (3, 65), (4, 4999), (5, LEN)] {
        // The device writes the whole buffer and claims a shorter length.
        guest.request(&mut driver, 0, b"x", LEN, id);
        guest.publish(0, &mut driver);
        let (token, _, writable) = device.take(0, &mut queue);
        device.memory[0].write_bytes(writable[0].address, &vec![0xaa; LEN as usize]).unwrap();
        queue.complete(token, written).unwrap();
        let _ = queue.publish();
        device.call(0);
        assert_eq!(guest.reap(0, &mut driver), (id, written));
        // The next request uses the same block and gets none of these bytes.
        let answer = guest.request(&mut driver, 0, b"x", LEN, id);
        guest.publish(0, &mut driver);
        let (token, _, again) = device.take(0, &mut queue);
        assert_eq!(again, writable);
        queue.complete(token, LEN).unwrap();
        let _ = queue.publish();
        device.call(0);
        assert_eq!(guest.reap(0, &mut driver), (id, LEN));
        assert_eq!(guest.bytes(answer, LEN), vec![0; LEN as usize]);
    }
}

#[test]
fn data_that_a_device_has_read_does_not_reach_a_later_request() {
    for options in [&[][..], &["--zero", "auto"], &["--scrub", "never"], &["--scrub", "always"]] {
        data_does_not_reach_a_later_request(options);
    }
}

fn data_does_not_reach_a_later_request(options: &[&str]) {
    const LEN: u32 = 5000;
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), options);
    // The device writes nothing. It first reports this, and then claims to have written everything.
    for claimed in [0, LEN] {
        // Two requests at the same time use both blocks.
        let answers = [(0, 1), (0x4000, 2)].map(|(at, id)| guest.request(&mut driver, at, b"x", LEN, id));
        guest.publish(0, &mut driver);
        for id in [1, 2] {
            let (token, _, _) = device.take(0, &mut queue);
            queue.complete(token, claimed).unwrap();
            let _ = queue.publish();
            device.call(0);
            assert_eq!(guest.reap(0, &mut driver), (id, claimed));
        }
        for answer in answers {
            assert_eq!(guest.bytes(answer, claimed), vec![0; claimed as usize]);
        }
        // Then one of the blocks holds data for the device to read.
        guest.request(&mut driver, 0, &[0xaa; LEN as usize], 1, 3);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (3, 1));
    }
}
