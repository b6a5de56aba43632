//! What a driver end does with buffers that it cannot take.

use ring_core::error::AddErrorKind;
use ring_core::memory::RawMemory;
use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};

#[test]
fn a_refused_buffer_leaves_nothing_that_the_device_could_take() {
    for features in [Features::empty(), Features::RING_PACKED] {
        let mut page = [0; 512];
        let memory = RawMemory::from_mut(&mut page, 0);
        let setup = Setup::new(4, features, Areas { descriptor: 0, driver: 0x100, device: 0x200 });
        let mut driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4]).unwrap();
        let mut device = DeviceQueue::new(memory, &setup, [device::Slot::default(); 4]).unwrap();
        // Each segment is legal, but not all of them together.
        let huge = Segment::new(0, u32::MAX);
        let refused = driver.add(&[huge; 2], &[huge], 1).unwrap_err();
        assert_eq!(
            (refused.kind, refused.cookie),
            (AddErrorKind::TooManyBytes { bytes: 3 * 0xffff_ffff }, 1)
        );

        let one = Segment::new(0x300, 8);
        driver.add(&[one], &[], 2).unwrap();
        let _ = driver.publish();
        let mut segments = [Segment::default(); 4];
        assert_eq!(device.pop(&mut segments).unwrap().unwrap().readable(), [one]);
        assert_eq!(device.pop(&mut segments).unwrap(), None);
    }
}
