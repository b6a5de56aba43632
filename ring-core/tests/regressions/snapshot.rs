//! What is read from shared memory is read once.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::payload::PayloadError;
use ring_core::{Features, Reader, Segment};

use crate::peer::{FORMATS, INDIRECT_TABLE, NEXT, WRITE, descriptor, offer};
use crate::support::{BUFFERS, DESCRIPTORS, INDIRECT, ZEROED, device_end, driver_end, setup};
use crate::watched::{Access, Watched};

/// A chain of a descriptor and of two more in a table, as far as the format allows it.
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

/// CVE-2020-14375, DPDK 93ed2f49de and af584d21bf: what was checked is not what was used.
#[test]
fn no_byte_is_read_twice_while_a_chain_is_taken() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let watched = Watched::new(memory.clone());
        let mut device = device_end(watched.clone(), &setup(4, features));
        offer_both_kinds(&memory, features);
        assert!(device.pop(&mut [Segment::default(); 4]).unwrap().is_some());
        let mut bytes: Vec<u64> = Vec::new();
        for access in watched.accesses() {
            if let Access::Read { address, len } = access {
                bytes.extend(address..address + len as u64);
            }
        }
        let read = bytes.len();
        bytes.sort_unstable();
        bytes.dedup();
        assert_eq!(bytes.len(), read, "{features:?}");
    }
}

/// CVE-2020-14375, from the other side: what was handed out is a copy.
#[test]
fn a_chain_stays_what_it_was_when_the_driver_rewrites_it() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_end(memory.clone(), &setup(4, features));
        offer_both_kinds(&memory, features);
        let mut storage = [Segment::default(); 4];
        let chain = device.pop(&mut storage).unwrap().unwrap();
        memory.write_bytes(DESCRIPTORS, &[0xff; 0x2000]).unwrap();
        assert!(chain.readable().iter().chain(chain.writable()).all(|s| *s == Segment::new(BUFFERS, 4)));
        assert_eq!(chain.into_token().writable(), 4);
    }
}

/// CVE-2020-13759 (vm-memory): indices were copied byte by byte, and so seen half-written. The whole 64 bits of
/// a packed descriptor that hold its flags are one access, too.
#[test]
fn what_publishes_is_one_access_of_its_whole_width() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let (ours, theirs) = (Watched::new(memory.clone()), Watched::new(memory.clone()));
        let setup = setup(4, format);
        let mut driver = driver_end(ours.clone(), &setup);
        let mut device = device_end(theirs.clone(), &setup);
        let (publication, len) =
            if format.is_empty() { (setup.areas.driver + 2, 2) } else { (DESCRIPTORS + 8, 8) };
        driver.add(&[Segment::new(BUFFERS, 1)], &[Segment::new(BUFFERS, 1)], ()).unwrap();
        ours.accesses();
        driver.publish_silently();
        assert_eq!(ours.accesses(), [Access::Write { address: publication, len }]);
        assert!(device.pop(&mut []).is_err());
        assert_eq!(theirs.accesses().first(), Some(&Access::Read { address: publication, len }));
    }
}

/// CVE-2022-2132 (DPDK): a header that is cut into more than two descriptors.
#[test]
fn a_header_may_be_cut_into_any_pieces() {
    for format in FORMATS {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_end(memory.clone(), &setup(8, format));
        memory.write_bytes(BUFFERS, b"header").unwrap();
        let piece = |i| Segment::new(BUFFERS + i, 1);
        offer(&memory, format, &[0, 1, 2, 3, 4, 5].map(|i| (piece(i), if i < 5 { NEXT } else { 0 })));
        let mut storage = [Segment::default(); 8];
        let chain = device.pop(&mut storage).unwrap().unwrap();
        let header: [u8; 6] = Reader::new(&memory, chain.readable()).read_value().unwrap();
        assert_eq!(&header, b"header");
    }
}

/// CVE-2018-1059 (DPDK): only the first page of a buffer was checked. CVE-2016-7422 (QEMU): a huge length.
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

/// CVE-2020-10725 (DPDK): an empty descriptor at a bad address was translated and followed.
#[test]
fn the_address_of_an_empty_segment_does_not_matter() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    memory.write_bytes(BUFFERS, b"text").unwrap();
    let empty = Segment::new(u64::MAX, 0);
    let segments = [empty, Segment::new(BUFFERS, 2), empty, Segment::new(BUFFERS + 2, 2), empty];
    let text: [u8; 4] = Reader::new(&memory, &segments).read_value().unwrap();
    assert_eq!(&text, b"text");
}
