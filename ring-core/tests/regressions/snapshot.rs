//! A device end reads each byte of shared memory once.

use ring_core::memory::{Load, Memory as _, RawMemory, Store};
use ring_core::payload::PayloadError;
use ring_core::{Features, Reader, Segment};

use crate::peer::{INDIRECT_TABLE, NEXT, WRITE, descriptor, offer};
use support::{
    Access, BUFFERS, DESCRIPTORS, FORMATS, INDIRECT, Watched, ZEROED, device_queue, driver_queue, segments,
    setup,
};

/// Offers a chain of one descriptor that continues with two descriptors in a table. In a packed
/// queue, offers the table only.
fn offer_both_kinds(memory: &RawMemory<'_>, features: Features) {
    let (segment, table) = (Segment::new(BUFFERS, 4), Segment::new(BUFFERS + 0x100, 32));
    if features.contains(Features::RING_PACKED) {
        descriptor(memory, table.address, segment, 0, 0);
        descriptor(memory, table.address + 16, segment, 0, WRITE);
        offer(memory, features, &[(table, INDIRECT_TABLE)]);
    } else {
        descriptor(memory, table.address, segment, NEXT, 1);
        descriptor(memory, table.address + 16, segment, WRITE, 0);
        offer(memory, features, &[(segment, NEXT), (table, INDIRECT_TABLE)]);
    }
}

/// CVE-2020-14375, DPDK 93ed2f49de and af584d21bf: the bytes that were used were not the bytes that
/// had been checked.
#[test]
fn no_byte_is_read_twice_while_a_chain_is_taken() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let watched = Watched::new(memory.clone());
        let mut device = device_queue(watched.clone(), &setup(4, features));
        offer_both_kinds(&memory, features);
        assert!(device.pop(&mut [Segment::default(); 4]).unwrap().is_some());
        assert_eq!(bytes_read_twice(&watched.accesses()), [0; 0], "{features:?}");
    }
}

/// The same for a burst, which reads an indirect table in place. The first call of a burst can be a
/// plain call, so the accesses of later calls are compared.
#[test]
fn no_byte_is_read_twice_while_a_burst_takes_a_chain() {
    for (features, indirect) in FORMATS.iter().flat_map(|format| [false, true].map(|it| (*format, it))) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let watched = Watched::new(memory.clone());
        let setup = setup(16, features | INDIRECT);
        let (mut driver, mut device) = (driver_queue(memory, &setup), device_queue(watched.clone(), &setup));
        let [readable, writable] = [BUFFERS, BUFFERS + 16].map(|address| segments(address, 2));
        for table in [0x100, 0x140, 0x180].map(|offset| Segment::new(BUFFERS + offset, 64)) {
            if indirect {
                driver.add_indirect(table, &readable, &writable, ()).unwrap();
            } else {
                driver.add(&readable, &writable, ()).unwrap();
            }
        }
        driver.publish_silently();
        let mut storage = [Segment::default(); 4];
        let mut burst = device.burst();
        assert_eq!(burst.serve(&mut storage, 1, |_, _| 0), Ok(1));
        watched.accesses();
        assert!(burst.pop(&mut storage).unwrap().is_some());
        let popped = watched.accesses();
        assert_eq!(burst.serve(&mut storage, 1, |_, _| 0), Ok(1));
        for accesses in [popped, watched.accesses()] {
            let in_place = accesses.iter().any(|access| matches!(access, Access::ReadInTable { .. }));
            assert_eq!(in_place, indirect, "{features:?}: {accesses:?}");
            assert_eq!(bytes_read_twice(&accesses), [0; 0], "{features:?}: {accesses:?}");
        }
    }
}

/// Returns the addresses of the bytes that the accesses read more than once.
fn bytes_read_twice(accesses: &[Access]) -> Vec<u64> {
    let mut bytes: Vec<u64> = accesses.iter().copied().flat_map(Access::reads).collect();
    bytes.sort_unstable();
    let twice = bytes.windows(2).filter(|pair| pair[0] == pair[1]);
    twice.map(|pair| pair[0]).collect()
}

/// CVE-2020-14375: the device works on a copy.
#[test]
fn a_chain_does_not_change_when_the_driver_rewrites_it() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(4, features));
        offer_both_kinds(&memory, features);
        let mut storage = [Segment::default(); 4];
        let chain = device.pop(&mut storage).unwrap().unwrap();
        memory.write_bytes(DESCRIPTORS, &[0xff; 0x2000]).unwrap();
        assert!(chain.readable().iter().chain(chain.writable()).all(|s| *s == Segment::new(BUFFERS, 4)));
        assert_eq!(chain.into_token().writable(), 4);
    }
}

/// CVE-2020-13759 (vm-memory): indices were copied byte by byte, so that a reader saw half of a
/// store. The 64 bits of a packed descriptor that hold its flags are one access, too.
#[test]
fn a_publication_is_one_access_of_its_whole_width() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let (writer, reader) = (Watched::new(memory.clone()), Watched::new(memory.clone()));
        let setup = setup(4, format);
        let mut driver = driver_queue(writer.clone(), &setup);
        let mut device = device_queue(reader.clone(), &setup);
        let (address, len) =
            if format.is_empty() { (setup.areas.driver + 2, 2) } else { (DESCRIPTORS + 8, 8) };
        driver.add(&[Segment::new(BUFFERS, 1)], &[Segment::new(BUFFERS, 1)], ()).unwrap();
        writer.accesses();
        driver.publish_silently();
        assert_eq!(writer.accesses(), [Access::Store { address, len, order: Store::Release }]);
        assert!(device.pop(&mut []).is_err());
        let load = Access::Load { address, len, order: Load::Acquire };
        assert_eq!(reader.accesses().first(), Some(&load));
    }
}

/// CVE-2022-2132 (DPDK): the device assumed that a header has at most two descriptors.
#[test]
fn a_header_may_be_in_any_number_of_segments() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(8, format));
        memory.write_bytes(BUFFERS, b"header").unwrap();
        let piece = |i| Segment::new(BUFFERS + i, 1);
        offer(&memory, format, &[0, 1, 2, 3, 4, 5].map(|i| (piece(i), if i < 5 { NEXT } else { 0 })));
        let mut storage = [Segment::default(); 8];
        let chain = device.pop(&mut storage).unwrap().unwrap();
        let header: [u8; 6] = Reader::new(&memory, chain.readable()).read_value().unwrap();
        assert_eq!(&header, b"header");
    }
}

/// CVE-2018-1059 (DPDK): only the first page of a buffer was checked. CVE-2016-7422 (QEMU): a huge
/// length was accepted.
#[test]
fn a_buffer_that_leaves_shared_memory_is_not_read() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let last = DESCRIPTORS + size_of_val(&ZEROED) as u64 - 4;
    let segments = [Segment::new(last, u32::MAX)];
    let mut reader = Reader::new(&memory, &segments);
    assert_eq!(reader.read(&mut [0; 4]), Ok(()));
    assert!(matches!(reader.read(&mut [0; 1]), Err(PayloadError::Unmapped(_))));
    let mut reader = Reader::new(&memory, &segments);
    assert!(matches!(reader.read(&mut [0; 5]), Err(PayloadError::Unmapped(at)) if at.address == last));
}

/// CVE-2020-10725 (DPDK): the address of an empty descriptor was translated and used.
#[test]
fn the_address_of_an_empty_segment_is_ignored() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    memory.write_bytes(BUFFERS, b"text").unwrap();
    let empty = Segment::new(u64::MAX, 0);
    let segments = [empty, Segment::new(BUFFERS, 2), empty, Segment::new(BUFFERS + 2, 2), empty];
    let text: [u8; 4] = Reader::new(&memory, &segments).read_value().unwrap();
    assert_eq!(&text, b"text");
}
