//! Indirect tables from both ends: VIRTIO 1.4, 2.7.5.3 "Indirect Descriptors" and 2.8.7 "Indirect
//! Flag: Scatter-Gather Support".

use ring_core::error::AddErrorKind;
use ring_core::memory::{AccessError, AlignedWord, Memory as _, RawMemory, Windows};
use ring_core::{AddError, Notify, Segment};
use support::{
    Anywhere, BUFFERS, DESCRIPTORS, FORMATS, HeapDriverQueue, INDIRECT, PACKED, Pair, SPLIT, ZEROED,
    device_queue, driver_queue, setup,
};

#[test]
fn a_buffer_in_a_table_of_any_alignment_occupies_one_descriptor() {
    let segments: Vec<Segment> =
        (0..32u32).map(|i| Segment::new(0x2000 + 0x40 * u64::from(i), 1 + i)).collect();
    for format in FORMATS {
        // The tables are shorter than, as long as, and longer than the window that the device
        // fetches at once.
        for (readable, writable) in [(1, 0), (0, 1), (3, 5), (8, 1), (20, 12)] {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut pair = Pair::new(&memory, &setup(32, format | INDIRECT));
            let (readable, writable) = (&segments[..readable], &segments[32 - writable..]);
            let table = Segment::new(BUFFERS + 1, 16 * 32);
            pair.driver.add_indirect(table, readable, writable, 7).unwrap();
            assert_eq!(pair.driver.free(), 31);
            let _ = pair.driver.publish();

            let mut storage = [Segment::default(); 32];
            let chain = pair.device.pop(&mut storage).unwrap().unwrap();
            assert_eq!((chain.readable(), chain.writable()), (readable, writable));
            let token = chain.into_token();
            let written = token.writable();
            assert_eq!(u64::from(written), Segment::total(writable));
            let _ = pair.finish(token, written);
            assert_eq!((pair.reap(), pair.driver.free()), (Some((7, written)), 32));
        }
    }
}

/// In a packed queue, only the device bounds a table (VIRTIO 1.4, 2.8.19 "Driver Requirements:
/// Indirect Descriptors").
#[test]
fn a_table_of_a_packed_queue_may_be_longer_than_the_queue() {
    let mut words = ZEROED;
    let mut pair = Pair::new(&RawMemory::from_mut(&mut words, DESCRIPTORS), &setup(1, PACKED | INDIRECT));
    let segments: Vec<_> = (0..20).map(|at| Segment::new(BUFFERS + 8 * at, 8)).collect();
    let table = Segment::new(BUFFERS + 0x100, 20 * 16);
    pair.driver.add_indirect(table, &segments[..5], &segments[5..], 7).unwrap();
    let _ = pair.driver.publish();
    let mut storage = [Segment::default(); 20];
    let chain = pair.device.pop(&mut storage).unwrap().unwrap();
    assert_eq!((chain.readable(), chain.writable()), segments.split_at(5));
    let _ = pair.finish(chain.into_token(), 15 * 8);
    assert_eq!(pair.reap(), Some((7, 15 * 8)));
}

#[test]
fn a_buffer_that_does_not_fit_a_table_is_returned_with_the_reason() {
    let segment = Segment::new(BUFFERS, 8);
    let table = |len| Segment::new(BUFFERS + 0x100, len);
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let Pair { mut driver, mut device } = Pair::new(&memory, &setup(2, format | INDIRECT));
        let mut refused = |driver: &mut HeapDriverQueue<_, _>, table, readable: &[Segment]| {
            let AddError { kind, cookie } = driver.add_indirect(table, readable, &[], 1).unwrap_err();
            assert_eq!((cookie, device.pop(&mut [])), (1, Ok(None)));
            kind
        };
        assert_eq!(refused(&mut driver, table(16), &[]), AddErrorKind::Empty);
        let too_small = AddErrorKind::TableTooSmall { capacity: 1, needed: 2 };
        assert_eq!(refused(&mut driver, table(31), &[segment; 2]), too_small);
        if format == SPLIT {
            // A chain is never longer than the queue, wherever its descriptors are.
            let too_long = AddErrorKind::TooLong { segments: 3, size: 2 };
            assert_eq!(refused(&mut driver, table(64), &[segment; 3]), too_long);
        }
        let outside = Segment::new(DESCRIPTORS + size_of_val(&ZEROED) as u64 - 8, 16);
        let unmapped = refused(&mut driver, outside, &[segment]);
        assert!(matches!(unmapped, AddErrorKind::TableUnmapped(_)), "{unmapped}");
        driver.add(&[segment; 2], &[], 2).unwrap();
        assert_eq!(refused(&mut driver, table(16), &[segment]), AddErrorKind::Full { free: 0, needed: 1 });

        let mut driver = driver_queue(memory, &setup(2, format));
        let refused = driver.add_indirect(table(16), &[segment], &[], 1).unwrap_err();
        assert_eq!(refused.kind, AddErrorKind::IndirectNotNegotiated);
    }
}

/// Drivers have tables in memory of their own, such as the heap, which no window covers.
#[test]
fn a_table_in_bytes_of_the_caller_has_the_same_contents() {
    let segments: Vec<Segment> = (0..20u32).map(|i| Segment::new(0x2000 + u64::from(i), 1 + i)).collect();
    for format in FORMATS {
        for (readable, writable) in [(1, 0), (0, 1), (3, 5), (12, 8)] {
            let mut words = ZEROED;
            let memory = Anywhere(RawMemory::from_mut(&mut words, DESCRIPTORS));
            let mut pair = Pair::new(&memory, &setup(32, format | INDIRECT));
            let (readable, writable) = (&segments[..readable], &segments[20 - writable..]);
            let mut table = [0xff; 20 * 16 + 1];
            let map = |table: &mut [u8]| {
                // The device gets a copy, as with a bounce buffer.
                memory.write_bytes(BUFFERS + 1, table).unwrap();
                BUFFERS + 1
            };
            let id = pair.driver.add_indirect_in(&mut table, map, readable, writable, 7).unwrap();
            assert_eq!((id, pair.driver.free()), (0, 31));
            let _ = pair.driver.publish();

            let mut storage = [Segment::default(); 32];
            let chain = pair.device.pop(&mut storage).unwrap().unwrap();
            assert_eq!((chain.readable(), chain.writable()), (readable, writable));
            let token = chain.into_token();
            let _ = pair.finish(token, 0);
            assert_eq!(pair.reap(), Some((7, 0)));
            let used = 16 * (readable.len() + writable.len());
            assert!(table[used..].iter().all(|byte| *byte == 0xff), "bytes behind the table were written");
        }
    }
}

#[test]
fn a_buffer_that_does_not_fit_the_bytes_of_the_caller_is_refused() {
    let segment = Segment::new(BUFFERS, 8);
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = Anywhere(RawMemory::from_mut(&mut words, DESCRIPTORS));
        let mut pair = Pair::new(&memory, &setup(2, format | INDIRECT));
        let mut mapped = Vec::new();
        let mut refused = |address, bytes: &mut [u8], readable: &[Segment]| {
            let map = |bytes: &mut [u8]| {
                mapped.push(bytes.len());
                address
            };
            pair.driver.add_indirect_in(bytes, map, readable, &[], 1).unwrap_err().kind
        };
        let too_small = AddErrorKind::TableTooSmall { capacity: 1, needed: 2 };
        assert_eq!(refused(0, &mut [0; 31], &[segment; 2]), too_small);
        assert_eq!(refused(0, &mut [0; 16], &[]), AddErrorKind::Empty);
        let past_the_end = AddErrorKind::TableUnmapped(AccessError { address: u64::MAX - 8, len: 16 });
        assert_eq!(refused(u64::MAX - 8, &mut [0; 17], &[segment]), past_the_end);
        assert_eq!(mapped, [16]);
        assert_eq!((pair.driver.free(), pair.driver.publish()), (2, Notify::NotNeeded));
    }
}

/// The first window that contains the table maps the table unaligned, so a burst copies the table.
#[test]
fn a_table_is_read_in_the_first_window_that_contains_it() {
    let [shown, hidden] = [3, 5].map(|len| Segment::new(BUFFERS, len));
    let table = Segment::new(BUFFERS + 0x100, 16);
    for format in FORMATS {
        let setup = setup(4, format | INDIRECT);
        let (mut words, mut unaligned) = (ZEROED, [AlignedWord::ZERO; 8]);
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let first = RawMemory::from_mut(&mut unaligned, table.address - 4);
        let mut driver = driver_queue(memory.clone(), &setup);
        let mut device = device_queue(Windows([first.clone(), memory.clone()]), &setup);
        let mut segments = [Segment::default(); 2];
        for cookie in 0..2 {
            driver.add_indirect(table, &[hidden], &[], cookie).unwrap();
        }
        let _ = driver.publish();
        let mut descriptor = [0; 16];
        memory.read_bytes(table.address, &mut descriptor).unwrap();
        descriptor[8] = 3;
        first.write_bytes(table.address, &descriptor).unwrap();

        let chain = device.pop(&mut segments).unwrap().unwrap();
        assert_eq!(chain.readable(), [shown], "{format:?}");
        let mut burst = device.burst();
        let chain = burst.pop(&mut segments).unwrap().unwrap();
        assert_eq!(chain.readable(), [shown], "{format:?} in a burst");
    }
}
