//! VIRTIO 1.4, 2.7.5.3 "Indirect Descriptors" and 2.8.7 "Indirect Flag: Scatter-Gather Support", from both ends.

use ring_core::error::AddErrorKind;
use ring_core::memory::RawMemory;
use ring_core::{AddError, Areas, DeviceQueue, DriverQueue, Features, Segment, Setup, device, driver};

const FORMATS: [Features; 2] =
    [Features::INDIRECT_DESC, Features::INDIRECT_DESC.union(Features::RING_PACKED)];

type DriverEnd<'m> = DriverQueue<RawMemory<'m>, Vec<driver::Slot<u32>>, u32>;
type DeviceEnd<'m> = DeviceQueue<RawMemory<'m>, Vec<device::Slot>>;

fn ends(page: &mut [u64], size: u16, features: Features) -> (RawMemory<'_>, DriverEnd<'_>, DeviceEnd<'_>) {
    let memory = RawMemory::from_mut(page, 0);
    let setup = Setup::new(size, features, Areas { descriptor: 0, driver: 0x400, device: 0x500 });
    let slots = usize::from(size);
    let driver = DriverQueue::new(memory.clone(), &setup, vec![driver::Slot::EMPTY; slots]).unwrap();
    let device = DeviceQueue::new(memory.clone(), &setup, vec![device::Slot::default(); slots]).unwrap();
    (memory, driver, device)
}

#[test]
fn a_buffer_goes_through_a_table_of_any_alignment_and_takes_up_one_descriptor() {
    let segments: Vec<Segment> =
        (0..32u32).map(|i| Segment::new(0x1_0000 + 0x100 * u64::from(i), 1 + i)).collect();
    for features in FORMATS {
        // Tables shorter than, as long as, and longer than what is fetched in one go.
        for (readable, writable) in [(1, 0), (0, 1), (3, 5), (8, 1), (20, 12)] {
            let mut page = [0; 512];
            let (_, mut driver, mut device) = ends(&mut page, 32, features);
            let (readable, writable) = (&segments[..readable], &segments[32 - writable..]);
            let table = Segment::new(0x801, 16 * 32);
            driver.add_indirect(table, readable, writable, 7).unwrap();
            assert_eq!(driver.free(), 31);
            let _ = driver.publish();

            let mut storage = [Segment::default(); 32];
            let chain = device.pop(&mut storage).unwrap().unwrap();
            assert_eq!((chain.readable(), chain.writable()), (readable, writable));
            let token = chain.into_token();
            assert_eq!(token.writable(), writable.iter().map(|segment| segment.len).sum::<u32>());
            let written = token.writable();
            device.complete(token, written).unwrap();
            let _ = device.publish();
            let used = driver.reap().unwrap().unwrap();
            assert_eq!((used.cookie, used.written, driver.free()), (7, written, 32));
        }
    }
}

#[test]
fn a_buffer_that_cannot_go_through_a_table_comes_back_with_the_reason() {
    let segment = Segment::new(0x900, 8);
    for features in FORMATS {
        let mut page = [0; 512];
        let (_, mut driver, mut device) = ends(&mut page, 2, features);
        let table = |len| Segment::new(0x800, len);
        let mut refused = |driver: &mut DriverEnd<'_>, table, readable: &[Segment]| {
            let AddError { kind, cookie } = driver.add_indirect(table, readable, &[], 1).unwrap_err();
            assert_eq!(cookie, 1);
            assert_eq!(device.pop(&mut []).unwrap(), None);
            kind
        };
        assert_eq!(refused(&mut driver, table(16), &[]), AddErrorKind::Empty);
        let two = AddErrorKind::TableTooSmall { capacity: 1, needed: 2 };
        assert_eq!(refused(&mut driver, table(31), &[segment; 2]), two);
        // No chain may be longer than the queue, wherever its descriptors are.
        assert_eq!(
            refused(&mut driver, table(64), &[segment; 3]),
            AddErrorKind::TooLong { segments: 3, size: 2 }
        );
        let outside = refused(&mut driver, Segment::new(0xff8, 16), &[segment]);
        assert!(matches!(outside, AddErrorKind::TableUnmapped(_)), "{outside}");
        driver.add(&[segment; 2], &[], 2).unwrap();
        assert_eq!(refused(&mut driver, table(16), &[segment]), AddErrorKind::Full { free: 0, needed: 1 });

        let (_, mut driver, _) = ends(&mut page, 2, features.difference(Features::INDIRECT_DESC));
        let refused = driver.add_indirect(table(16), &[segment], &[], 1).unwrap_err();
        assert_eq!(refused.kind, AddErrorKind::IndirectNotNegotiated);
    }
}
