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

/// DPDK's driver reads the length in every used entry of a split queue, and waits for a used mark
/// in every descriptor of a packed queue.
#[test]
fn each_written_buffer_of_a_batch_has_a_used_entry() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = pair(&memory, format);
        (0..4).for_each(|cookie| offer(&mut pair, cookie));
        for written in [8, 8, 3] {
            let token = pair.take();
            pair.device.complete(token, written).unwrap();
        }
        let _ = pair.device.publish();
        if format == PACKED {
            // The fourth descriptor is still as the driver wrote it.
            for (slot, written) in [(0, 8), (1, 8), (2, 3)] {
                let descriptor = bytes::<8>(&memory, DESCRIPTORS + 16 * u64::from(slot) + 8);
                assert_eq!(descriptor, [written, 0, 0, 0, slot, 0, 0x82, 0x80]);
            }
        } else {
            assert_eq!(bytes::<4>(&memory, DEVICE), [1, 0, 3, 0]);
            for (slot, written) in [(0, 8), (1, 8), (2, 3)] {
                let entry = bytes::<8>(&memory, DEVICE + 4 + 8 * u64::from(slot));
                assert_eq!(entry, [slot, 0, 0, 0, written, 0, 0, 0]);
            }
        }
        assert_eq!([0; 4].map(|_| pair.reap()), [Some((0, 8)), Some((1, 8)), Some((2, 3)), None]);
    }
}

/// VIRTIO 1.4, 2.8.8 "In-order use of descriptors" allows one used descriptor for a batch.
#[test]
fn a_packed_batch_without_writable_bytes_is_one_used_descriptor() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut pair = pair(&memory, PACKED);
    for cookie in 0..3 {
        let _ = pair.offer(&[Segment::new(BUFFERS, 8)], &[], cookie);
    }
    for token in [pair.take(), pair.take(), pair.take()] {
        pair.device.complete(token, 0).unwrap();
    }
    let _ = pair.device.publish();
    // The first descriptor names the last buffer. The other two are as the driver wrote them.
    assert_eq!(bytes::<8>(&memory, DESCRIPTORS + 0x08), [0, 0, 0, 0, 2, 0, 0x80, 0x80]);
    assert_eq!(bytes::<8>(&memory, DESCRIPTORS + 0x18), [8, 0, 0, 0, 1, 0, 0x80, 0]);
    assert_eq!(bytes::<8>(&memory, DESCRIPTORS + 0x28), [8, 0, 0, 0, 2, 0, 0x80, 0]);
    assert_eq!([0; 4].map(|_| pair.reap()), [Some((0, 0)), Some((1, 0)), Some((2, 0)), None]);
}

/// Another device may return a batch with one used entry; the driver end then returns each buffer
/// of the batch.
#[test]
fn a_used_entry_returns_all_older_buffers_in_full() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = pair(&memory, format);
        (0..3).for_each(|cookie| offer(&mut pair, cookie));
        if format == PACKED {
            memory.write_bytes(DESCRIPTORS + 8, &[3, 0, 0, 0, 2, 0, 0x82, 0x80]).unwrap();
        } else {
            memory.write_bytes(DEVICE, &[0, 0, 3, 0, 2, 0, 0, 0, 3, 0, 0, 0]).unwrap();
        }
        assert_eq!([0; 4].map(|_| pair.reap()), [Some((0, 8)), Some((1, 8)), Some((2, 3)), None]);
    }
}

#[test]
fn a_chain_that_is_completed_early_waits_for_its_turn() {
    for format in FORMATS {
        let mut words = ZEROED;
        let mut pair = pair(&RawMemory::from_mut(&mut words, DESCRIPTORS), format);
        // There are many rounds, so that the list of chains in flight and the ring wrap around at
        // different positions.
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
