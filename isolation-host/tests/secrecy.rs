//! What the device gets to see of the guest, and the guest of what was there before.

mod support;

use std::os::fd::AsRawFd as _;

use ring_core::Features;
use ring_core::memory::Memory as _;
use support::device::Offer;
use support::guest::{RAM, RAM_SIZE, USER};
use support::started::{FORMATS, Parts, started};

#[test]
fn a_device_that_looks_for_guest_memory_behind_all_it_was_given_finds_none() {
    for features in FORMATS {
        let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
            started(features, Offer::default(), &["--area-size", "16M"]);
        for at in (RAM + RAM_SIZE / 2..RAM + RAM_SIZE).step_by(6) {
            guest.memory.write_bytes(at.min(RAM + RAM_SIZE - 6), b"secret").unwrap();
        }
        guest.request(&mut driver, 0, b"not secret", 16, 1);
        guest.publish(0, &mut driver);
        let (_, _, writable) = device.take(0, &mut queue);

        // Of files it has one with memory, and those that notifications go through.
        let links = device.given.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_raw_fd()));
        let names = links.map(|link| std::fs::read_link(link).unwrap().display().to_string());
        let (signals, memory): (Vec<String>, Vec<String>) =
            names.partition(|name| name.starts_with("socket:") || name == "anon_inode:[eventfd]");
        assert_eq!((signals.len() >= 2, memory), (true, vec!["/memfd:isolated-area (deleted)".to_owned()]));

        // That memory has what the guest gave to the device, and nothing else of the guest's.
        let area = &device.memory[0];
        let mut all = vec![0; usize::try_from(area.size()).unwrap()];
        area.read_bytes(area.address(), &mut all).unwrap();
        let all = all.chunks(4096).filter(|page| **page != [0; 4096]).collect::<Vec<_>>().concat();
        assert_eq!(all.windows(6).filter(|bytes| *bytes == b"secret").count(), 1);

        // No number that it was told or can find leads there, neither for the guest nor in the VMM.
        let words = device.told.iter().chain([&all]).flat_map(|bytes| bytes.as_chunks().0);
        let addresses = words.map(|word| u64::from_le_bytes(*word));
        let of_guest = |address: &u64| [RAM, USER].iter().any(|at| (*at..at + RAM_SIZE).contains(address));
        assert_eq!(addresses.filter(of_guest).collect::<Vec<_>>(), [0; 0]);
        assert!(writable.iter().all(|segment| area.contains(segment.address, segment.len.into())));
    }
}

#[test]
fn bytes_of_an_earlier_request_are_never_visible_to_a_later_one() {
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &[]);
    for len in [16u32, 600, 5000, 70_000] {
        // The first leaves its mark, both ways.
        let mark = vec![0xaa; len as usize];
        guest.request(&mut driver, 0, &mark, len, 1);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (1, len));
        // The second has the device claim that it wrote everything, when it wrote nothing.
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
fn a_buffer_that_was_filled_in_part_comes_clean_to_the_next_request() {
    const LEN: u32 = 5000;
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &[]);
    for (id, written) in [(1u32, 1u32), (2, 64), (3, 65), (4, 4999), (5, LEN)] {
        // All of it is written, and how much is said of it ends somewhere in the buffer.
        guest.request(&mut driver, 0, b"x", LEN, id);
        guest.publish(0, &mut driver);
        let (token, _, writable) = device.take(0, &mut queue);
        device.memory[0].write_bytes(writable[0].address, &vec![0xaa; LEN as usize]).unwrap();
        queue.complete(token, written).unwrap();
        let _ = queue.publish();
        device.call(0);
        assert_eq!(guest.reap(0, &mut driver), (id, written));
        // The next one finds nothing of it in the same place.
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
fn what_a_device_was_given_to_read_is_not_what_a_later_request_gets() {
    const LEN: u32 = 5000;
    let Parts { guest, mut driver, device, mut queue, host: _host, .. } =
        started(Features::empty(), Offer::default(), &[]);
    // The device writes nothing, admits it at first, and then claims to have written everything.
    for claimed in [0, LEN] {
        // Two at a time have the two blocks that there are.
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
        // Then one of them has what the device is to read.
        guest.request(&mut driver, 0, &[0xaa; LEN as usize], 1, 3);
        guest.publish(0, &mut driver);
        device.echo(0, &mut queue);
        assert_eq!(guest.reap(0, &mut driver), (3, 1));
    }
}
