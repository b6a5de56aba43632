//! Queues with `IN_ORDER`: VIRTIO 1.4, 2.7.9 and 2.8.8, both "In-order use of descriptors".

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{Features, Segment, Violation};
use support::{BUFFERS, DESCRIPTORS, DEVICE, FORMATS, IN_ORDER, PACKED, Pair, ZEROED, setup};

/// A queue of four in which the device returns buffers in order.
fn pair<'m>(memory: &RawMemory<'m>, format: Features) -> Pair<RawMemory<'m>> {
    Pair::new(memory, &setup(4, format | IN_ORDER))
}

/// Makes a buffer of eight writable bytes available.
fn offer(pair: &mut Pair<RawMemory<'_>>, cookie: u32) {
    let _ = pair.offer(&[], &[Segment::new(BUFFERS, 8)], cookie);
}

fn bytes<const N: usize>(memory: &RawMemory<'_>, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read_bytes(address, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_batch_of_full_buffers_is_one_used_entry() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = pair(&memory, format);
        (0..3).for_each(|cookie| offer(&mut pair, cookie));
        for token in [pair.take(), pair.take(), pair.take()] {
            pair.device.complete(token, 8).unwrap();
        }
        let _ = pair.device.publish();
        if format == PACKED {
            // The first descriptor names the last buffer. The driver wrote the other two
            // descriptors.
            assert_eq!(bytes::<8>(&memory, DESCRIPTORS + 0x08), [8, 0, 0, 0, 2, 0, 0x82, 0x80]);
            assert_eq!(bytes::<8>(&memory, DESCRIPTORS + 0x18), [8, 0, 0, 0, 1, 0, 0x82, 0]);
            assert_eq!(bytes::<8>(&memory, DESCRIPTORS + 0x28), [8, 0, 0, 0, 2, 0, 0x82, 0]);
        } else {
            // The index moved by three, but only the first entry was written.
            assert_eq!(bytes::<12>(&memory, DEVICE), [1, 0, 3, 0, 2, 0, 0, 0, 8, 0, 0, 0]);
            assert_eq!(bytes::<16>(&memory, DEVICE + 12), [0; 16]);
        }
        assert_eq!([0; 4].map(|_| pair.reap()), [Some((0, 8)), Some((1, 8)), Some((2, 8)), None]);
    }
}

/// The length of a skipped buffer is not transmitted, so only full buffers can be skipped.
#[test]
fn a_buffer_that_is_not_full_ends_its_batch() {
    for format in FORMATS {
        let mut words = ZEROED;
        let mut pair = pair(&RawMemory::from_mut(&mut words, DESCRIPTORS), format);
        (0..4).for_each(|cookie| offer(&mut pair, cookie));
        for written in [8, 3, 8, 5] {
            let token = pair.take();
            pair.device.complete(token, written).unwrap();
        }
        let _ = pair.device.publish();
        let reaped = [0; 4].map(|_| pair.reap());
        assert_eq!(reaped, [Some((0, 8)), Some((1, 3)), Some((2, 8)), Some((3, 5))]);
    }
}

#[test]
fn a_chain_that_is_completed_early_waits_for_its_turn() {
    for format in FORMATS {
        let mut words = ZEROED;
        let mut pair = pair(&RawMemory::from_mut(&mut words, DESCRIPTORS), format);
        // Many rounds, so that the list of turns and the ring wrap around at different positions.
        for first in (0..70).step_by(10) {
            (first..first + 3).for_each(|cookie| offer(&mut pair, cookie));
            let tokens = [pair.take(), pair.take(), pair.take()];
            let [one, two, three] = tokens;
            let _ = pair.finish(three, 2);
            assert_eq!(pair.reap(), None);
            let _ = pair.finish(one, 8);
            assert_eq!([pair.reap(), pair.reap()], [Some((first, 8)), None]);
            let _ = pair.finish(two, 8);
            assert_eq!([pair.reap(), pair.reap()], [Some((first + 1, 8)), Some((first + 2, 2))]);
            assert_eq!(pair.driver.in_flight(), 0);
        }
    }
}

#[test]
fn a_used_buffer_that_is_not_in_flight_is_a_violation() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = pair(&memory, format);
        offer(&mut pair, 0);
        if format == PACKED {
            memory.write_bytes(DESCRIPTORS + 8, &[8, 0, 0, 0, 3, 0, 0x80, 0x80]).unwrap();
        } else {
            memory.write_bytes(DEVICE, &[0, 0, 1, 0, 3, 0, 0, 0, 8, 0, 0, 0]).unwrap();
        }
        assert_eq!(pair.driver.reap(), Err(Violation::NotInFlight { id: 3 }));
        assert_eq!(pair.driver.reap(), Ok(None));
    }
}
