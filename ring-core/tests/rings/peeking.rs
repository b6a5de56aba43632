//! The id of the next used buffer, before the buffer is reaped.

use ring_core::Segment;
use ring_core::memory::{Memory as _, RawMemory};
use support::{BUFFERS, DESCRIPTORS, DEVICE, FORMATS, IN_ORDER, ORDERS, PACKED, Pair, ZEROED, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);

#[test]
fn a_driver_that_peeks_sees_the_id_of_the_buffer_that_it_reaps_next() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        // The loop covers later laps, and buffers that an in-order device returns with one used
        // entry.
        for _ in 0..9 {
            let mut ids = [0; 3].map(|_| pair.driver.add(&[BYTE], &[], 0).unwrap());
            assert_eq!(pair.driver.peek(), None);
            let _ = pair.driver.publish();
            // The newest chain is completed first.
            let tokens = [pair.take(), pair.take(), pair.take()];
            tokens.into_iter().rev().for_each(|token| pair.device.complete(token, 0).unwrap());
            assert_eq!(pair.driver.peek(), None);
            let _ = pair.device.publish();
            if !features.contains(IN_ORDER) {
                ids.reverse();
            }
            for id in ids {
                assert_eq!((pair.driver.peek(), pair.driver.peek()), (Some(id), Some(id)));
                assert_eq!(pair.driver.reap().unwrap().map(|used| used.id), Some(id));
            }
            assert_eq!(pair.driver.peek(), None);
        }
    }
}

#[test]
fn a_driver_that_peeks_at_a_violation_sees_nothing_and_reaps_it() {
    for features in FORMATS {
        for id in [2u16, 4, u16::MAX] {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut pair = Pair::new(&memory, &setup(4, features));
            let _ = pair.offer(&[BYTE], &[], 0);
            let token = pair.take();
            let _ = pair.finish(token, 0);
            assert_eq!(pair.driver.peek(), Some(0));
            // The id of the first used buffer.
            let address = if features == PACKED { DESCRIPTORS + 12 } else { DEVICE + 4 };
            memory.write_bytes(address, &id.to_le_bytes()).unwrap();
            assert_eq!(pair.driver.peek(), None);
            pair.driver.reap().unwrap_err();
            assert_eq!(pair.driver.peek(), None);
        }
    }
}
