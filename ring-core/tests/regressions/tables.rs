//! How a device end treats indirect tables.

use ring_core::memory::{AlignedWord, RawMemory};
use ring_core::{Features, PopError, Segment, Violation};

use crate::peer::{INDIRECT_TABLE, NEXT, WRITE, descriptor, make_available, offer};
use support::{
    BUFFERS, DESCRIPTORS, FORMATS, IN_ORDER, INDIRECT, PACKED, Pair, SPLIT, ZEROED, device_queue, setup,
};

const BYTE: Segment = Segment::new(BUFFERS, 1);

/// Writes a table. In a split queue each descriptor is linked to the next.
fn table(memory: &RawMemory<'_>, features: Features, address: u64, segments: &[Segment]) -> Segment {
    for (index, &segment) in (0..).zip(segments) {
        let last = usize::from(index) + 1 == segments.len();
        let at = address + 16 * u64::from(index);
        if features.contains(Features::RING_PACKED) {
            descriptor(memory, at, segment, 0, 0);
        } else {
            descriptor(memory, at, segment, if last { 0 } else { NEXT }, index + 1);
        }
    }
    Segment::new(address, u32::try_from(16 * segments.len()).unwrap())
}

/// Returns the violation that the device end of a queue of four reports for a chain. A table of two
/// descriptors is at `BUFFERS + 0x100`.
fn refusal(features: Features, chain: &[(Segment, u16)]) -> Option<Violation> {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, features));
    table(&memory, features, BUFFERS + 0x100, &[BYTE; 2]);
    offer(&memory, features, chain);
    match device.pop(&mut [Segment::default(); 8]) {
        Err(PopError::Violation(violation)) => Some(violation),
        other => {
            assert!(matches!(other, Ok(Some(_))), "{other:?}");
            None
        }
    }
}

const TABLE: Segment = Segment::new(BUFFERS + 0x100, 32);

/// virtio-queue 0.18 accepts a reference to a table that is chained to another descriptor.
#[test]
fn a_table_is_accepted_only_where_the_standard_allows_one() {
    for format in FORMATS {
        let with = format | INDIRECT;
        assert_eq!(refusal(with, &[(TABLE, INDIRECT_TABLE)]), None);
        let chained = Some(Violation::IndirectChained);
        assert_eq!(refusal(with, &[(TABLE, INDIRECT_TABLE | NEXT), (BYTE, 0)]), chained);
        let refused = refusal(format, &[(TABLE, INDIRECT_TABLE)]);
        assert_eq!(refused, Some(Violation::IndirectNotNegotiated));
        // Only a split queue may have descriptors before the table.
        let expected = if format == SPLIT { None } else { chained };
        assert_eq!(refusal(with, &[(BYTE, NEXT), (TABLE, INDIRECT_TABLE)]), expected);
    }
    let split = SPLIT | INDIRECT;
    let inside = [(Segment::new(DESCRIPTORS, 16), INDIRECT_TABLE)];
    assert_eq!(refusal(split, &inside), Some(Violation::IndirectNested));
}

/// CVE-2017-17381 (QEMU): division by a size of 0.
#[test]
fn a_table_is_a_whole_number_of_descriptors_in_memory() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        for len in [0, 8, 17, u32::MAX] {
            let table = Segment::new(BUFFERS, len);
            let refused = refusal(features, &[(table, INDIRECT_TABLE)]);
            assert_eq!(refused, Some(Violation::IndirectLength { len }));
        }
        let refused = refusal(features, &[(Segment::new(0, 16), INDIRECT_TABLE)]);
        assert!(matches!(refused, Some(Violation::IndirectUnmapped(at)) if at.address == 0), "{refused:?}");
        let refused = refusal(features, &[(Segment::new(u64::MAX - 14, 16), INDIRECT_TABLE)]);
        assert_eq!(refused, Some(Violation::AddressOverflow { address: u64::MAX - 14, len: 16 }));
    }
}

/// CVE-2019-14835 (vhost): a cycle of empty descriptors in a table makes no progress.
#[test]
fn a_cycle_in_a_table_is_a_violation() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, SPLIT | INDIRECT));
    descriptor(&memory, BUFFERS, Segment::new(0, 0), NEXT, 1);
    descriptor(&memory, BUFFERS + 16, Segment::new(0, 0), NEXT, 0);
    offer(&memory, SPLIT, &[(Segment::new(BUFFERS, 32), INDIRECT_TABLE)]);
    let mut storage = [Segment::default(); 8];
    let refused = device.pop(&mut storage);
    assert_eq!(refused, Err(PopError::Violation(Violation::ChainLoop { size: 2 })));
}

/// vm-virtio 922f2e5: the address of a table had to be aligned.
#[test]
fn a_table_may_be_at_any_address() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        for offset in 0..16 {
            let mut words = ZEROED;
            let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
            let mut device = device_queue(memory.clone(), &setup(4, features));
            let segments = [BYTE, Segment::new(BUFFERS + 7, 0), Segment::new(BUFFERS + 9, 5)];
            let table = table(&memory, features, BUFFERS + 0x100 + offset, &segments);
            offer(&memory, features, &[(table, INDIRECT_TABLE)]);
            let mut storage = [Segment::default(); 3];
            assert_eq!(device.pop(&mut storage).unwrap().unwrap().readable(), segments);
        }
    }
}

/// OpenVMM #2986: the length of a table became the size of the queue.
#[test]
fn a_table_does_not_change_the_bounds_of_the_queue() {
    let mut words = ZEROED;
    let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
    let mut device = device_queue(memory.clone(), &setup(4, SPLIT | INDIRECT));
    let small = table(&memory, SPLIT, BUFFERS + 0x100, &[BYTE]);
    offer(&memory, SPLIT, &[(small, INDIRECT_TABLE)]);
    for (slot, flags) in [(1, NEXT), (2, NEXT), (3, 0)] {
        descriptor(&memory, DESCRIPTORS + 16 * u64::from(slot), BYTE, flags, slot + 1);
    }
    make_available(&memory, &[0, 1]);
    let mut storage = [Segment::default(); 4];
    assert_eq!(device.pop(&mut storage).unwrap().unwrap().readable().len(), 1);
    assert_eq!(device.pop(&mut storage).unwrap().unwrap().readable().len(), 3);
}

/// OpenVMM #2983: in a packed queue, only the length of a table says where the table ends.
#[test]
fn links_in_a_packed_table_are_ignored() {
    for flags in [0, NEXT, WRITE | NEXT, WRITE | INDIRECT_TABLE] {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(4, PACKED | INDIRECT));
        descriptor(&memory, BUFFERS, BYTE, 0x7777, flags);
        descriptor(&memory, BUFFERS + 16, BYTE, 0x7777, flags);
        offer(&memory, PACKED, &[(Segment::new(BUFFERS, 32), INDIRECT_TABLE)]);
        let mut storage = [Segment::default(); 8];
        let chain = device.pop(&mut storage).unwrap().unwrap();
        let (readable, writable) = if flags & WRITE == 0 { (2, 0) } else { (0, 2) };
        assert_eq!((chain.readable().len(), chain.writable().len()), (readable, writable));
    }
}

/// propolis #1188, cloud-hypervisor #8401: a chain that did not fit the device's storage was not
/// returned, and its descriptors were lost.
#[test]
fn a_chain_too_long_for_the_device_can_be_returned() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(4, features));
        let table = table(&memory, features, BUFFERS + 0x100, &[BYTE; 8]);
        offer(&memory, features, &[(table, INDIRECT_TABLE)]);
        let Err(PopError::TooLong(token)) = device.pop(&mut [Segment::default(); 7]) else {
            panic!("eight segments do not fit in seven");
        };
        device.complete(token, 0).unwrap();
        assert!(device.publish().is_needed());
        assert_eq!(device.pop(&mut []), Ok(None));
    }
}

/// OpenVMM: the length of a table was truncated to 16 bits.
#[test]
fn a_table_may_be_longer_than_64_kib() {
    for features in FORMATS.map(|format| format | INDIRECT) {
        let mut words = vec![AlignedWord::ZERO; 0x4000];
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut device = device_queue(memory.clone(), &setup(4, features));
        let segments: Vec<_> = (0..4097).map(|i| Segment::new(BUFFERS + i, 1)).collect();
        let table = table(&memory, features, BUFFERS, &segments);
        assert_eq!(table.len, 65552);
        offer(&memory, features, &[(table, INDIRECT_TABLE)]);
        let mut storage = vec![Segment::default(); 4097];
        assert_eq!(device.pop(&mut storage).unwrap().unwrap().readable(), segments);
    }
}

/// Found by the model: an in-order device skipped a chain that was too long, which meant to the
/// driver that the chain was fully written.
#[test]
fn a_chain_too_long_for_the_device_is_not_returned_as_written() {
    for format in FORMATS {
        let features = format | INDIRECT | IN_ORDER;
        let mut words = ZEROED;
        let memory = RawMemory::from_mut(&mut words, DESCRIPTORS);
        let mut pair = Pair::new(&memory, &setup(4, features));
        pair.driver.add_indirect(TABLE, &[BYTE], &[BYTE], 0).unwrap();
        let _ = pair.offer(&[BYTE], &[], 1);
        let Err(PopError::TooLong(token)) = pair.device.pop(&mut []) else { panic!("there is no room") };
        pair.device.complete(token, 0).unwrap();
        let token = pair.take();
        let _ = pair.finish(token, 0);
        assert_eq!([pair.reap(), pair.reap()], [Some((0, 0)), Some((1, 0))]);
    }
}
