//! Buffers that a driver end refuses.

use ring_core::Segment;
use ring_core::error::AddErrorKind;
use ring_core::memory::RawMemory;
use support::{BUFFERS, DESCRIPTORS, FORMATS, Pair, ZEROED, setup};

#[test]
fn a_refused_buffer_leaves_nothing_that_the_device_could_take() {
    for features in FORMATS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        // Each segment is allowed, but not all of them together.
        let huge = Segment::new(0, u32::MAX);
        let refused = pair.driver.add(&[huge; 2], &[huge], 1).unwrap_err();
        let too_many = AddErrorKind::TooManyBytes { bytes: 3 * 0xffff_ffff };
        assert_eq!((refused.kind, refused.cookie), (too_many, 1));

        let one = Segment::new(BUFFERS, 8);
        let _ = pair.offer(&[one], &[], 2);
        let mut segments = [Segment::default(); 4];
        assert_eq!(pair.device.pop(&mut segments).unwrap().unwrap().readable(), [one]);
        assert_eq!(pair.device.pop(&mut segments).unwrap(), None);
    }
}
