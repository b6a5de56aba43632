//! Queues run in memory that `vm-memory` maps.

use std::ops::Deref as _;
use std::sync::Arc;

use ring_core::memory::{AccessError, Area, Memory as _, Store, VmMemory, Word};
use ring_core::{Areas, Segment, Setup, Writer};
use support::{DESCRIPTORS, FORMATS, PACKED, Pair, ZEROED, setup};
use vm_memory::bitmap::{AtomicBitmap, Bitmap as _};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion as _, GuestRegionMmap};

use crate::setting_up::run;

const PAGE: u64 = 0x1000;

/// Returns shared memory as vm-memory maps it.
fn mapped() -> VmMemory<GuestMemoryMmap<()>> {
    let range = (GuestAddress(DESCRIPTORS), size_of_val(&ZEROED));
    VmMemory::new(Arc::new(GuestMemoryMmap::from_ranges(&[range]).unwrap()))
}

#[test]
fn queues_run_in_mapped_memory() {
    for features in FORMATS {
        run(&mapped(), features);
    }
}

#[test]
fn what_a_device_writes_is_marked_dirty() {
    for features in FORMATS {
        let ranges = [(GuestAddress(0), 8 * 0x1000)];
        let mapped = GuestMemoryMmap::<AtomicBitmap>::from_ranges(&ranges).unwrap();
        let memory = VmMemory::new(Arc::new(mapped.clone()));
        let region = mapped.find_region(GuestAddress(0)).unwrap();
        let dirty = || -> Vec<u64> {
            (0..8).filter(|page| region.bitmap().dirty_at(usize::try_from(page * PAGE).unwrap())).collect()
        };
        let areas = Areas { descriptor: 0, driver: PAGE, device: 2 * PAGE };
        let mut pair = Pair::new(&memory, &Setup::new(2, features, areas));
        let _ = pair.offer(&[], &[Segment::new(5 * PAGE, 8)], 0);
        region.deref().bitmap().reset();

        let mut storage = [Segment::default(); 2];
        let chain = pair.device.pop(&mut storage).unwrap().unwrap();
        Writer::new(&memory, chain.writable()).write(&[1; 8]).unwrap();
        assert!(dirty().contains(&5));
        let _ = pair.finish(chain.into_token(), 8);
        // A packed device writes descriptors, a split device writes its own area. Neither writes
        // the driver area.
        let ring = if features == PACKED { 0 } else { 2 };
        assert!(dirty().contains(&ring), "{:?}", dirty());
        assert!(!dirty().contains(&1), "{:?}", dirty());
    }
}

/// A pair beyond the end of memory marks no page.
#[test]
fn a_pair_of_words_that_spans_two_pages_marks_both_dirty() {
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
fn an_area_outlives_the_address_space_in_which_it_was_resolved() {
    let memory = mapped();
    let area = memory.area(DESCRIPTORS + 8, 16).unwrap();
    drop(memory);
    area.write_pair(0, (1u64, 2));
    assert_eq!(area.read_pair(0), (1u64, 2));
    assert_eq!((read::<u16>(&area, 8), read::<u32>(&area, 0)), (2, 1));
    // An access that leaves the area reads zero and writes nothing.
    area.write_pair(8, (3u64, 4));
    assert_eq!((area.read_pair(8), area.read_pair(0)), ((0u64, 0), (1u64, 2)));
}

fn read<W: Word>(area: &impl Area, offset: usize) -> W {
    area.read(offset)
}

/// An area is one piece of memory, however vm-memory has mapped it.
#[test]
fn an_area_in_two_adjacent_regions_is_refused() {
    let ranges = [(GuestAddress(0), 0x1000), (GuestAddress(0x1000), 0x1000)];
    let memory = VmMemory::new(Arc::new(GuestMemoryMmap::<()>::from_ranges(&ranges).unwrap()));
    assert_eq!(memory.area(0xff8, 16).unwrap_err(), AccessError { address: 0xff8, len: 16 });
    memory.area(0xff0, 16).unwrap();
    memory.write_bytes(0xff8, &[1; 16]).unwrap();
}

/// Memory of a type that a host defines, instead of a collection from vm-memory.
#[derive(Debug)]
struct Own(GuestRegionMmap);

impl GuestMemoryBackend for Own {
    type R = GuestRegionMmap;

    fn iter(&self) -> impl Iterator<Item = &GuestRegionMmap> {
        std::iter::once(&self.0)
    }
}

#[test]
fn queues_run_in_memory_that_implements_vm_memorys_traits() {
    for features in FORMATS {
        let region = GuestRegionMmap::from_range(GuestAddress(DESCRIPTORS), size_of_val(&ZEROED), None);
        run(&VmMemory::new(Arc::new(Own(region.unwrap()))), features);
    }
}

#[test]
fn the_debug_output_of_a_queue_does_not_show_its_memory() {
    for features in FORMATS {
        let memory = mapped();
        let Pair { driver, device } = Pair::new(&memory, &setup(2, features));
        let printed = format!("{driver:?} {device:?} {memory:?} {:?}", memory.area(DESCRIPTORS, 16).unwrap());
        assert!(printed.contains("size: QueueSize(2)") && printed.contains("VmArea"), "{printed}");
    }
}
