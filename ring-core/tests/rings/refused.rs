//! Buffers that a driver end refuses.

use ring_core::error::AddErrorKind;
use ring_core::memory::RawMemory;
use ring_core::{Notify, Segment};
use support::{Anywhere, BUFFERS, DESCRIPTORS, FORMATS, INDIRECT, Pair, ZEROED, setup};

/// QEMU's devices stop a queue in which they see a segment of no bytes.
#[test]
fn a_segment_of_no_bytes_is_refused() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let (byte, empty) = (Segment::new(BUFFERS, 1), Segment::new(BUFFERS, 0));
        let table = Segment::new(BUFFERS + 0x100, 64);
        let buffers: [(&[Segment], &[Segment]); 5] = [
            (&[empty], &[]),
            (&[], &[empty]),
            (&[empty], &[empty]),
            (&[byte, empty], &[byte]),
            (&[byte], &[byte, empty]),
        ];
        for (readable, writable) in buffers {
            let kind = AddErrorKind::EmptySegment;
            assert_eq!(pair.driver.add(readable, writable, 1).unwrap_err().kind, kind);
            assert_eq!(pair.driver.add_indirect(table, readable, writable, 1).unwrap_err().kind, kind);
        }
        assert_eq!((pair.driver.free(), pair.driver.publish()), (4, Notify::NotNeeded));
    }
}

#[test]
fn a_refused_buffer_leaves_nothing_that_the_device_could_take() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = Anywhere(RawMemory::from_mut(&mut words, DESCRIPTORS));
        let mut pair = Pair::new(&memory, &setup(4, features));
        // Each segment is allowed, but not all of them together.
        let huge = Segment::new(0, u32::MAX);
        let refused = pair.driver.add(&[huge; 2], &[huge], 1).unwrap_err();
        let too_many = AddErrorKind::TooManyBytes { bytes: 3 * 0xffff_ffff };
        assert_eq!((refused.kind, refused.cookie), (too_many, 1));

        // On later laps, too, and behind a buffer that is staged.
        let one = Segment::new(BUFFERS, 8);
        for cookie in 0..9 {
            assert!(pair.driver.add(&[huge; 2], &[huge], 1).is_err());
            pair.driver.add(&[one], &[], cookie).unwrap();
            assert!(pair.driver.add(&[huge; 2], &[huge], 1).is_err());
            let _ = pair.driver.publish();
            let mut segments = [Segment::default(); 4];
            let chain = pair.device.pop(&mut segments).unwrap().unwrap();
            assert_eq!(chain.readable(), [one]);
            let token = chain.into_token();
            assert_eq!(pair.device.pop(&mut segments).unwrap(), None);
            let _ = pair.finish(token, 0);
            assert_eq!((pair.reap(), pair.reap()), (Some((cookie, 0)), None));
        }
    }
}
