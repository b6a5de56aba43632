//! The sizes and alignments of the areas: VIRTIO 1.4, 2.7 "Split Virtqueues" and 2.8.10.1
//! "Structure Size and Alignment".

use ring_core::error::AreaName;
use ring_core::memory::{AlignedWord, RawMemory};
use ring_core::{
    AreaLayout, DeviceQueue, DriverQueue, Features, Layout, QueueSize, SetupError, device, driver, packed,
    split,
};
use support::{PACKED, SPLIT};

use crate::rig::setup;

/// Asserts that both ends refuse each area with half of its alignment.
fn misaligned_areas_are_refused(features: Features, layout: Layout) {
    let mut words = [AlignedWord::ZERO; 64];
    let memory = RawMemory::from_mut(&mut words, 0);
    let good = setup(4, features);
    for (area, AreaLayout { align, .. }) in [
        (AreaName::Descriptor, layout.descriptor),
        (AreaName::Driver, layout.driver),
        (AreaName::Device, layout.device),
    ] {
        let align = align as u64;
        let mut setup = good;
        let address = match area {
            AreaName::Descriptor => &mut setup.areas.descriptor,
            AreaName::Driver => &mut setup.areas.driver,
            AreaName::Device => &mut setup.areas.device,
        };
        *address += align / 2;
        let error = SetupError::Misaligned { area, address: *address, align };
        let driver = DriverQueue::<_, _, ()>::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4]);
        assert_eq!(driver.map(drop), Err(error));
        let device = DeviceQueue::new(memory.clone(), &setup, [device::Slot::default(); 4]);
        assert_eq!(device.map(drop), Err(error));
    }
}

#[test]
fn driver_2_7_1_areas_that_are_not_aligned_are_refused() {
    misaligned_areas_are_refused(SPLIT, split::layout(QueueSize::split(4).unwrap()));
}

#[test]
fn driver_2_8_11_areas_that_are_not_aligned_are_refused() {
    misaligned_areas_are_refused(PACKED, packed::layout(QueueSize::packed(4).unwrap()));
}

#[test]
fn both_2_7_areas_have_the_sizes_and_alignments_of_the_table() {
    for size in [1, 2, 256, 32768] {
        let layout = split::layout(QueueSize::split(size).unwrap());
        let size = usize::from(size);
        assert_eq!(layout.descriptor, AreaLayout { size: 16 * size, align: 16 });
        assert_eq!(layout.driver, AreaLayout { size: 6 + 2 * size, align: 2 });
        assert_eq!(layout.device, AreaLayout { size: 6 + 8 * size, align: 4 });
    }
}

#[test]
fn both_2_7_a_size_is_a_power_of_two_up_to_32768() {
    for size in [1, 2, 4, 32768] {
        assert_eq!(QueueSize::split(size).map(QueueSize::get), Ok(size));
    }
    for size in [0, 3, 6, 32767, 32769, u16::MAX] {
        assert_eq!(QueueSize::split(size).map_err(|bad| bad.size), Err(size));
    }
}

#[test]
fn both_2_8_10_1_areas_have_the_sizes_and_alignments_of_the_table() {
    for size in [1, 3, 256, 32768] {
        let layout = packed::layout(QueueSize::packed(size).unwrap());
        assert_eq!(layout.descriptor, AreaLayout { size: 16 * usize::from(size), align: 16 });
        assert_eq!(layout.driver, AreaLayout { size: 4, align: 4 });
        assert_eq!(layout.device, AreaLayout { size: 4, align: 4 });
    }
}

#[test]
fn both_2_8_10_1_a_size_is_any_number_up_to_32768() {
    for size in [1, 2, 3, 5, 32767, 32768] {
        assert_eq!(QueueSize::packed(size).map(QueueSize::get), Ok(size));
    }
    for size in [0, 32769, u16::MAX] {
        assert_eq!(QueueSize::packed(size).map_err(|bad| bad.size), Err(size));
    }
}
