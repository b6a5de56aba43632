//! VIRTIO 1.4, 2.7.9 and 2.8.8, both "In-order use of descriptors".

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{
    Areas, DeviceQueue, DriverQueue, Features, Segment, Setup, Token, Violation, device, driver,
};

const IN_ORDER: Features = Features::IN_ORDER;
const FORMATS: [Features; 2] = [IN_ORDER, IN_ORDER.union(Features::RING_PACKED)];

type DriverEnd<'m> = DriverQueue<RawMemory<'m>, [driver::Slot<u32>; 4], u32>;
type DeviceEnd<'m> = DeviceQueue<RawMemory<'m>, [device::Slot; 4]>;

/// Both ends of a queue of four, with all its areas in one page.
fn ends(page: &mut [u64], features: Features) -> (RawMemory<'_>, DriverEnd<'_>, DeviceEnd<'_>) {
    let memory = RawMemory::from_mut(page, 0);
    let setup = Setup::new(4, features, Areas { descriptor: 0, driver: 0x100, device: 0x200 });
    let driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4]).unwrap();
    let device = DeviceQueue::new(memory.clone(), &setup, [device::Slot::default(); 4]).unwrap();
    (memory, driver, device)
}

/// Makes a buffer of 8 writable bytes available.
fn add(driver: &mut DriverEnd<'_>, cookie: u32) {
    driver.add(&[], &[Segment::new(0x300, 8)], cookie).unwrap();
    let _ = driver.publish();
}

fn pop(device: &mut DeviceEnd<'_>) -> Token {
    device.pop(&mut [Segment::default(); 4]).unwrap().unwrap().into_token()
}

fn reap(driver: &mut DriverEnd<'_>) -> Option<(u32, u32)> {
    driver.reap().unwrap().map(|used| (used.cookie, used.written))
}

fn word<const N: usize>(memory: &RawMemory<'_>, address: u64) -> [u8; N] {
    let mut bytes = [0; N];
    memory.read_bytes(address, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_batch_of_full_buffers_is_one_used_entry() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (memory, mut driver, mut device) = ends(&mut page, features);
        (0..3).for_each(|cookie| add(&mut driver, cookie));
        for token in [pop(&mut device), pop(&mut device), pop(&mut device)] {
            device.complete(token, 8).unwrap();
        }
        let _ = device.publish();
        if features.contains(Features::RING_PACKED) {
            // The first descriptor names the last buffer; the other two are as the driver left them.
            assert_eq!(word::<8>(&memory, 0x08), [8, 0, 0, 0, 2, 0, 0x82, 0x80]);
            assert_eq!(word::<8>(&memory, 0x18), [8, 0, 0, 0, 1, 0, 0x82, 0]);
            assert_eq!(word::<8>(&memory, 0x28), [8, 0, 0, 0, 2, 0, 0x82, 0]);
        } else {
            // The index moved by three, but only the first entry was written.
            assert_eq!(word::<12>(&memory, 0x200), [1, 0, 3, 0, 2, 0, 0, 0, 8, 0, 0, 0]);
            assert_eq!(word::<16>(&memory, 0x20c), [0; 16]);
        }
        assert_eq!([0; 4].map(|_| reap(&mut driver)), [Some((0, 8)), Some((1, 8)), Some((2, 8)), None]);
    }
}

#[test]
fn a_buffer_that_is_not_full_ends_its_batch_so_that_its_length_is_told() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (_, mut driver, mut device) = ends(&mut page, features);
        (0..4).for_each(|cookie| add(&mut driver, cookie));
        for written in [8, 3, 8, 5] {
            let token = pop(&mut device);
            device.complete(token, written).unwrap();
        }
        let _ = device.publish();
        assert_eq!(
            [0; 4].map(|_| reap(&mut driver)),
            [Some((0, 8)), Some((1, 3)), Some((2, 8)), Some((3, 5))]
        );
    }
}

#[test]
fn what_is_completed_early_waits_for_its_turn() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (_, mut driver, mut device) = ends(&mut page, features);
        // Many rounds, so that the order list and the ring wrap around at different places.
        for round in 0..7 {
            (0..3).for_each(|cookie| add(&mut driver, 10 * round + cookie));
            let [first, second, third] = [pop(&mut device), pop(&mut device), pop(&mut device)];
            device.complete(third, 2).unwrap();
            let _ = device.publish();
            assert_eq!(reap(&mut driver), None);
            device.complete(first, 8).unwrap();
            let _ = device.publish();
            assert_eq!(reap(&mut driver), Some((10 * round, 8)));
            assert_eq!(reap(&mut driver), None);
            device.complete(second, 8).unwrap();
            let _ = device.publish();
            assert_eq!(reap(&mut driver), Some((10 * round + 1, 8)));
            assert_eq!(reap(&mut driver), Some((10 * round + 2, 2)));
            assert_eq!(driver.in_flight(), 0);
        }
    }
}

#[test]
fn a_device_that_uses_a_buffer_out_of_nowhere_is_caught() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (memory, mut driver, _) = ends(&mut page, features);
        add(&mut driver, 0);
        if features.contains(Features::RING_PACKED) {
            memory.write_bytes(0x08, &[8, 0, 0, 0, 3, 0, 0x80, 0x80]).unwrap();
        } else {
            memory.write_bytes(0x200, &[0, 0, 1, 0, 3, 0, 0, 0, 8, 0, 0, 0]).unwrap();
        }
        assert_eq!(driver.reap(), Err(Violation::NotInFlight { id: 3 }));
        assert_eq!(driver.reap(), Ok(None));
    }
}
