//! The memory under a device queue changes while chains are in flight.

use ring_core::memory::{AlignedWord, Memory as _, RawMemory};
use ring_core::{Segment, SetupError};
use support::{BUFFERS, DESCRIPTORS, FORMATS, INDIRECT, PACKED, Pair, SPLIT, ZEROED, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);

#[test]
fn chains_in_flight_stay_in_flight_when_the_memory_changes() {
    for features in FORMATS {
        let (mut words, mut moved) = (ZEROED, ZEROED);
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let setup = setup(4, features);
        let mut pair = Pair::new(&memory, &setup);
        for cookie in 0..3 {
            let _ = pair.offer(&[BYTE], &[], cookie);
        }
        let [staged, token] = [pair.take(), pair.take()];
        pair.device.complete(staged, 0).unwrap();

        // Both ends move, as if the host had mapped the same memory elsewhere.
        let mut bytes = vec![0; size_of_val(&ZEROED)];
        memory.read_bytes(DESCRIPTORS, &mut bytes).unwrap();
        let moved = RawMemory::from_mut(&mut moved, DESCRIPTORS);
        moved.write_bytes(DESCRIPTORS, &bytes).unwrap();
        pair.device.remap(moved.clone(), &setup).unwrap();
        let third = pair.take();
        for token in [token, third] {
            pair.device.complete(token, 0).unwrap();
        }
        let _ = pair.device.publish();

        moved.read_bytes(DESCRIPTORS, &mut bytes).unwrap();
        assert_eq!(pair.reap(), None);
        memory.write_bytes(DESCRIPTORS, &bytes).unwrap();
        assert_eq!([0; 4].map(|_| pair.reap()), [Some((0, 0)), Some((1, 0)), Some((2, 0)), None]);
    }
}

#[test]
fn only_the_memory_of_a_queue_can_be_changed() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        let other = if features == SPLIT { PACKED } else { SPLIT };
        for (changed, error) in [
            (setup(2, features), SetupError::Changed),
            (setup(4, features | INDIRECT), SetupError::Changed),
            (setup(4, other), SetupError::Format),
        ] {
            assert_eq!(pair.device.remap(memory.clone(), &changed), Err(error));
        }
        let mut short = [AlignedWord::ZERO; 2];
        let unmapped = pair.device.remap(RawMemory::from_mut(&mut short, 0), &setup(4, features));
        assert!(matches!(unmapped, Err(SetupError::Unmapped { .. })));
        (0..6).for_each(|cookie| pair.transfer(cookie));
    }
}
