//! Setting queues up, and in which memory.

use std::ops::Deref as _;
use std::sync::Arc;

use ring_core::error::AreaName;
use ring_core::index::QueueSizeError;
use ring_core::memory::{AccessError, Area as _, Memory, Platform, RawMemory, Store, VmMemory, Word};
use ring_core::{
    Areas, DeviceQueue, DriverQueue, Features, Layout, Segment, Setup, SetupError, Writer, device, driver,
};
use vm_memory::bitmap::{AtomicBitmap, Bitmap as _};
use vm_memory::{GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap, GuestMemoryRegion as _};

const FORMATS: [Features; 2] = [Features::empty(), Features::RING_PACKED];

fn setup(size: u16, features: Features) -> Setup {
    Setup::new(size, features, Areas { descriptor: 0x1000, driver: 0x1100, device: 0x1200 })
}

type DriverEnd<M, T> = DriverQueue<M, Vec<driver::Slot<T>>, T>;
type DeviceEnd<M> = DeviceQueue<M, Vec<device::Slot>>;

fn ends<M: Memory + Clone>(memory: &M, setup: &Setup) -> (DriverEnd<M, u32>, DeviceEnd<M>) {
    let slots = (0..setup.size).map(|_| driver::Slot::default()).collect();
    let driver = DriverQueue::new(memory.clone(), setup, slots).unwrap();
    let device =
        DeviceQueue::new(memory.clone(), setup, vec![device::Slot::default(); setup.size.into()]).unwrap();
    (driver, device)
}

/// Sends a request of three segments there and back, over and over.
fn run<M: Memory + Clone>(memory: &M, features: Features) {
    let (mut driver, mut device) = ends(memory, &setup(4, features));
    let mut storage = [Segment::default(); 4];
    for round in 0..10u32 {
        memory.write_bytes(0x1800, &round.to_le_bytes()).unwrap();
        let [first, second] = [Segment::new(0x1800, 1), Segment::new(0x1801, 3)];
        driver.add(&[first, second], &[Segment::new(0x1900, 8)], round).unwrap();
        let _ = driver.publish();
        let chain = device.pop(&mut storage).unwrap().unwrap();
        let mut writer = Writer::new(memory, chain.writable());
        let request: u32 = ring_core::Reader::new(memory, chain.readable()).read_value().unwrap();
        assert_eq!(request, round);
        writer.write_value(&(request + 1)).unwrap();
        let written = writer.written();
        device.complete(chain.into_token(), written).unwrap();
        let _ = device.publish();
        let used = driver.reap().unwrap().unwrap();
        assert_eq!((used.cookie, used.written), (round, 4));
    }
}

#[test]
fn queues_run_with_the_barriers_of_real_hardware() {
    for features in FORMATS {
        let mut page = [0; 512];
        run(&RawMemory::from_mut(&mut page, 0x1000).with_barriers::<Platform>(), features);
    }
}

#[test]
fn a_queue_begins_empty_and_with_notifications_on_whatever_its_memory_held() {
    for features in FORMATS {
        // An index that is far ahead, a wish for no notifications, descriptors that look used.
        for byte in [0x01, 0x80, 0xff] {
            let mut page = [u64::from_ne_bytes([byte; 8]); 512];
            let memory = RawMemory::from_mut(&mut page, 0x1000);
            let (mut driver, mut device) = ends(&memory, &setup(4, features));
            for _ in 0..2 {
                assert_eq!(driver.reap(), Ok(None));
                assert_eq!(device.pop(&mut []), Ok(None));
                driver.add(&[Segment::new(0x1800, 8)], &[], 0).unwrap();
                assert!(driver.publish().is_needed());
                let token = device.pop(&mut [Segment::default()]).unwrap().unwrap().into_token();
                device.complete(token, 0).unwrap();
                assert!(device.publish().is_needed());
                device.reset(memory.clone(), &setup(4, features)).unwrap();
                driver.reset(memory.clone(), &setup(4, features), drop).unwrap();
            }
        }
    }
}

#[test]
fn queues_run_in_mapped_memory() {
    for features in FORMATS {
        let mapped = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0x1000), 0x1000)]).unwrap();
        run(&VmMemory::new(Arc::new(mapped)), features);
    }
}

#[test]
fn what_a_device_writes_is_marked_dirty() {
    const PAGE: u64 = 0x1000;
    for features in FORMATS {
        let ranges = [(GuestAddress(0), 8 * 0x1000)];
        let mapped = GuestMemoryMmap::<AtomicBitmap>::from_ranges(&ranges).unwrap();
        let memory = VmMemory::new(Arc::new(mapped.clone()));
        let region = mapped.find_region(GuestAddress(0)).unwrap();
        let dirty = || -> Vec<u64> {
            (0..8).filter(|page| region.bitmap().dirty_at(usize::try_from(page * PAGE).unwrap())).collect()
        };
        let clean = || region.deref().bitmap().reset();
        let setup = Setup::new(2, features, Areas { descriptor: 0, driver: PAGE, device: 2 * PAGE });
        let (mut driver, mut device) = ends(&memory, &setup);
        driver.add(&[], &[Segment::new(5 * PAGE, 8)], 0).unwrap();
        let _ = driver.publish();
        clean();

        let mut storage = [Segment::default(); 2];
        let chain = device.pop(&mut storage).unwrap().unwrap();
        Writer::new(&memory, chain.writable()).write(&[1; 8]).unwrap();
        assert!(dirty().contains(&5));
        device.complete(chain.into_token(), 8).unwrap();
        let _ = device.publish();
        // A packed device writes descriptors, a split one its own area; neither writes the driver's.
        let ring = if features.contains(Features::RING_PACKED) { 0 } else { 2 };
        assert!(dirty().contains(&ring), "{:?}", dirty());
        assert!(!dirty().contains(&1), "{:?}", dirty());
    }
}

#[test]
fn a_pair_that_spans_two_pages_marks_both_dirty_and_one_beyond_all_memory_none() {
    const PAGE: usize = 0x1000;
    let mapped = GuestMemoryMmap::<AtomicBitmap>::from_ranges(&[(GuestAddress(0), 4 * PAGE)]).unwrap();
    let memory = VmMemory::new(Arc::new(mapped.clone()));
    let region = mapped.find_region(GuestAddress(0)).unwrap();
    let dirty = || [0, 1, 2, 3].map(|page| region.bitmap().dirty_at(page * PAGE));
    let area = memory.area(PAGE as u64, PAGE + 8).unwrap();
    area.write(usize::MAX, 1u32);
    area.write_pair(usize::MAX, (1u32, 2));
    area.store(usize::MAX, 1u32, Store::Relaxed);
    assert_eq!(dirty(), [false; 4]);
    area.write_pair(PAGE - 4, (1u32, 2));
    assert_eq!(dirty(), [false, true, true, false]);
}

#[test]
fn an_area_outlives_the_address_space_that_it_was_resolved_in() {
    let ranges = [(GuestAddress(0x1000), 0x1000)];
    let memory = VmMemory::new(Arc::new(GuestMemoryMmap::<()>::from_ranges(&ranges).unwrap()));
    let area = memory.area(0x1008, 16).unwrap();
    drop(memory);
    area.write_pair(0, (1u64, 2));
    assert_eq!(area.read_pair(0), (1u64, 2));
    assert_eq!((read::<u16>(&area, 8), read::<u32>(&area, 0)), (2, 1));
    // Outside there is nothing to see, and nothing to write.
    area.write_pair(8, (3u64, 4));
    assert_eq!((area.read_pair(8), area.read_pair(0)), ((0u64, 0), (1u64, 2)));
}

fn read<W: Word>(area: &impl ring_core::memory::Area, offset: usize) -> W {
    area.read(offset)
}

#[test]
fn too_few_slots_are_refused() {
    for features in FORMATS {
        let mut page = [0; 512];
        let memory = RawMemory::from_mut(&mut page, 0x1000);
        let (mut driver, mut device) = ends(&memory, &setup(2, features));
        let larger = setup(4, features);
        let too_few = SetupError::TooFewSlots { slots: 2, size: 4 };
        assert_eq!(device.reset(memory.clone(), &larger), Err(too_few));
        assert_eq!(driver.reset(memory.clone(), &larger, |_| ()), Err(too_few));
    }
}

#[test]
fn a_queue_keeps_its_format_over_a_reset() {
    let mut page = [0; 512];
    let memory = RawMemory::from_mut(&mut page, 0x1000);
    let (mut driver, mut device) = ends(&memory, &setup(2, Features::empty()));
    let packed = setup(2, Features::RING_PACKED);
    assert_eq!(device.reset(memory.clone(), &packed), Err(SetupError::Format));
    assert_eq!(driver.reset(memory.clone(), &packed, |_| ()), Err(SetupError::Format));
}

#[test]
fn a_device_that_has_completed_buffers_is_not_resumed_before_they_are_published() {
    for features in FORMATS {
        let mut page = [0; 512];
        let memory = RawMemory::from_mut(&mut page, 0x1000);
        let (mut driver, mut device) = ends(&memory, &setup(2, features));
        driver.add(&[Segment::new(0x1800, 8)], &[], 0).unwrap();
        let _ = driver.publish();
        let token = device.pop(&mut [Segment::default(); 2]).unwrap().unwrap().into_token();
        device.complete(token, 0).unwrap();
        assert_eq!(device.resume(device.position()), Err(SetupError::Staged));
        let (position, _) = device.suspend();
        assert_eq!(device.resume(position), Ok(()));
        assert!(driver.reap().unwrap().is_some());
    }
}

#[test]
fn queues_can_be_printed_without_what_is_in_memory() {
    for features in FORMATS {
        let mapped = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0x1000), 0x1000)]).unwrap();
        let memory = VmMemory::new(Arc::new(mapped));
        let (driver, device) = ends(&memory, &setup(2, features));
        let printed = format!("{driver:?} {device:?} {memory:?} {:?}", memory.area(0x1000, 16).unwrap());
        assert!(printed.contains("size: QueueSize(2)") && printed.contains("VmArea"), "{printed}");
    }
}

#[test]
fn memory_that_is_aligned_otherwise_than_its_addresses_is_refused() {
    let mut page = [0; 512];
    let memory = RawMemory::from_mut(&mut page, 0x1004);
    let (setup, _) = Setup::contiguous(0x1040, 2, Features::empty()).unwrap();
    let refused = DeviceQueue::new(memory, &setup, vec![device::Slot::default(); 2]);
    let range = AccessError { address: 0x1040, len: 32 };
    assert_eq!(refused.err(), Some(SetupError::Unmapped { area: AreaName::Descriptor, range }));
}

#[test]
fn there_is_no_layout_for_a_size_that_the_format_does_not_have() {
    assert_eq!(Layout::of(3, Features::empty()), Err(QueueSizeError { size: 3 }));
    assert!(Layout::of(3, Features::RING_PACKED).is_ok());
    assert_eq!(Layout::of(0, Features::RING_PACKED), Err(QueueSizeError { size: 0 }));
    assert_eq!(Setup::contiguous(0, 0, Features::empty()), Err(QueueSizeError { size: 0 }));
}
