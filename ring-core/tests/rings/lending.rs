//! What safe code can do with the memory that a device accesses.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::rc::Rc;

use ring_core::error::AddErrorKind;
use ring_core::memory::{
    AccessError, Area as _, Load, Memory as _, RawArea, RawMemory, Rings as _, Store, Table as _, Walk as _,
    Windows,
};
use ring_core::{DriverQueue, Notify, Segment, driver};
use support::{BUFFERS, DESCRIPTORS, FORMATS, INDIRECT, ORDERS, Pair, ZEROED, driver_queue, setup};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Under `forbid(unsafe_code)`, a driver could make a device write anywhere.
#[test]
fn a_segment_outside_the_memory_is_refused() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut driver = driver_queue(memory, &setup(4, features));
        let end = DESCRIPTORS + size_of_val(&ZEROED) as u64;
        for outside in [
            Segment::new(0, 1),
            Segment::new(DESCRIPTORS - 1, 2),
            Segment::new(end - 1, 2),
            Segment::new(end, 1),
            Segment::new(u64::MAX, 1),
            Segment::new(DESCRIPTORS, u32::MAX - 3),
        ] {
            let Segment { address, len } = outside;
            let kind = AddErrorKind::SegmentUnmapped(AccessError { address, len: len.into() });
            let table = Segment::new(BUFFERS, 64);
            let buffers: [(&[Segment], &[Segment]); 3] =
                [(&[outside], &[]), (&[], &[outside]), (&[BYTE, BYTE], &[BYTE, outside])];
            for (readable, writable) in buffers {
                assert_eq!(driver.add(readable, writable, 1).unwrap_err().kind, kind);
                assert_eq!(driver.add_indirect(table, readable, writable, 1).unwrap_err().kind, kind);
            }
        }
        assert_eq!((driver.free(), driver.publish()), (4, Notify::NotNeeded));
        driver.add(&[Segment::new(end - 1, 1)], &[], 1).unwrap();
    }
}

/// Safe code owns the bytes of the table, and could change the table while the device reads it. An
/// address in the queue's memory is refused, too: safe code has no `&mut [u8]` into that memory.
#[test]
fn a_table_in_bytes_of_the_caller_is_refused_unless_the_memory_lends_it() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let window = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let memory = Windows([window.clone(), window]);
        let mut driver = driver_queue(memory, &setup(4, features));
        for address in [0, BUFFERS] {
            let refused = driver.add_indirect_in(&mut [0; 32], |_| address, &[BYTE], &[BYTE], 1).unwrap_err();
            let unmapped = AddErrorKind::TableUnmapped(AccessError { address, len: 32 });
            assert_eq!((refused.kind, refused.cookie), (unmapped, 1));
        }
        assert_eq!((driver.free(), driver.publish()), (4, Notify::NotNeeded));
    }
}

/// A cookie owns the memory of its buffer, and the device still has the buffer.
#[test]
fn a_queue_that_is_dropped_leaks_the_cookies_in_flight() {
    for features in FORMATS {
        let mut words = ZEROED;
        let owner = Rc::new(());
        let mut driver = driver_queue(RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        driver.add(&[BYTE], &[], owner.clone()).unwrap();
        let _ = driver.publish();
        drop(driver);
        assert_eq!(Rc::strong_count(&owner), 2);
    }
}

/// Storage from safe code, which can be made shorter while a queue uses it.
struct Shrinking {
    slots: Vec<driver::Slot<Rc<()>>>,
    len: Rc<Cell<usize>>,
}

impl AsRef<[driver::Slot<Rc<()>>]> for Shrinking {
    fn as_ref(&self) -> &[driver::Slot<Rc<()>>] {
        &self.slots[..self.len.get()]
    }
}

impl AsMut<[driver::Slot<Rc<()>>]> for Shrinking {
    fn as_mut(&mut self) -> &mut [driver::Slot<Rc<()>>] {
        &mut self.slots[..self.len.get()]
    }
}

/// The buffer without a slot was made available, and its cookie was dropped.
#[test]
fn a_buffer_whose_slot_is_gone_leaks_its_cookie() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let (owner, len) = (Rc::new(()), Rc::new(Cell::new(4)));
        let slots = Shrinking { slots: vec![driver::Slot::EMPTY; 4], len: len.clone() };
        let mut driver = DriverQueue::new(memory, &setup(4, features), slots).unwrap();
        len.set(0);
        let _ = driver.add(&[BYTE], &[], owner.clone());
        let mut burst = driver.burst();
        let _ = burst.add(&[], &[BYTE], owner.clone());
        let _ = burst.publish();
        assert_eq!(Rc::strong_count(&owner), 3);
    }
}

#[test]
fn storage_that_is_used_again_leaks_the_cookies_of_the_old_queue() {
    for features in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let owner = Rc::new(());
        let mut slots = [const { driver::Slot::EMPTY }; 4];
        for _ in 0..2 {
            let mut driver = DriverQueue::new(memory.clone(), &setup(4, features), &mut slots[..]).unwrap();
            driver.add(&[BYTE], &[], owner.clone()).unwrap();
            let _ = driver.publish();
        }
        assert_eq!(Rc::strong_count(&owner), 3);
    }
}

#[test]
fn each_buffer_in_flight_has_an_id_of_its_own() {
    for features in FORMATS {
        let mut words = ZEROED;
        let mut driver = driver_queue(RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        let mut ids: Vec<u16> = (0..4).map(|cookie| driver.add(&[BYTE], &[], cookie).unwrap()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [0, 1, 2, 3]);
    }
}

#[test]
fn a_used_buffer_has_the_id_that_add_returned() {
    for features in ORDERS {
        let mut words = ZEROED;
        let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(4, features));
        // On later laps, too.
        for cookie in 0..9 {
            let ids = [0, 1].map(|i| pair.driver.add(&[BYTE], &[BYTE], 2 * cookie + i).unwrap());
            let _ = pair.driver.publish();
            for token in [pair.take(), pair.take()] {
                pair.device.complete(token, 0).unwrap();
            }
            let _ = pair.device.publish();
            let used = [0, 1].map(|_| pair.driver.reap().unwrap().unwrap());
            assert_eq!(used.map(|used| used.id), ids);
            assert_eq!(used.map(|used| used.cookie), [2 * cookie, 2 * cookie + 1]);
        }
    }
}

/// A burst resolves its rings once. Areas that are too small for the rings, or a size that no queue
/// has, must not lead outside the areas.
#[test]
fn rings_that_do_not_fit_their_areas_are_not_accessed() {
    const BYTES: usize = 64;
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let area = memory.area(DESCRIPTORS, BYTES).unwrap();
    for size in [0, 3, 5, 8, 1 << 15, u16::MAX] {
        let rings = RawArea::rings([&area, &area, &area], size);
        let mut walk = area.walk(size, 1);
        for index in [0, 1, 7, usize::from(u16::MAX), usize::MAX] {
            rings.set_descriptor(index, (u64::MAX, u64::MAX));
            rings.table().set(index, (u64::MAX, u64::MAX));
            rings.set_available(index, u16::MAX);
            rings.set_used(index, (u32::MAX, u32::MAX));
            let _ = (rings.table().get(index), rings.available(index), rings.used(index));
        }
        for count in [0, 1, u16::MAX] {
            walk.set_address(u64::MAX);
            walk.set_control(u64::MAX, Store::Release);
            walk.move_to(count);
            let _ = (walk.advance(count), walk.address(), walk.control(Load::Acquire));
        }
    }
    let mut outside = [0; 1024];
    memory.read_bytes(DESCRIPTORS + BYTES as u64, &mut outside).unwrap();
    assert_eq!(outside, [0; 1024]);
}
