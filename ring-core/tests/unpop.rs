//! A device that gives back what it has taken: the driver, and whoever goes on, see no difference.

use ring_core::memory::{Memory as _, RawMemory};
use ring_core::{
    Areas, CompleteError, DeviceQueue, DriverQueue, Features, Segment, Setup, Token, device, driver,
};

const FORMATS: [Features; 4] = [
    Features::empty(),
    Features::RING_PACKED,
    Features::IN_ORDER,
    Features::RING_PACKED.union(Features::IN_ORDER),
];

type DriverEnd<'m> = DriverQueue<RawMemory<'m>, [driver::Slot<u32>; 8], u32>;
type DeviceEnd<'m> = DeviceQueue<RawMemory<'m>, [device::Slot; 8]>;

fn ends(page: &mut [u64; 512], features: Features) -> (DriverEnd<'_>, DeviceEnd<'_>) {
    let memory = RawMemory::from_mut(page, 0);
    // Five descriptors where the format allows it, so that laps end anywhere.
    let size = if features.contains(Features::RING_PACKED) { 5 } else { 4 };
    let setup = Setup::new(size, features, Areas { descriptor: 0, driver: 0x100, device: 0x200 });
    let driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 8]).unwrap();
    (driver, DeviceQueue::new(memory, &setup, [device::Slot::default(); 8]).unwrap())
}

/// Adds a buffer of `count` segments and publishes it.
fn add(driver: &mut DriverEnd<'_>, cookie: u32, count: usize) {
    let segments = [Segment::new(0x800, 8); 4];
    driver.add(&[], &segments[..count], cookie).unwrap();
    let _ = driver.publish();
}

fn pop(device: &mut DeviceEnd<'_>) -> Token {
    device.pop(&mut [Segment::default(); 8]).unwrap().unwrap().into_token()
}

fn reap(driver: &mut DriverEnd<'_>) -> Option<u32> {
    driver.reap().unwrap().map(|used| used.cookie)
}

#[test]
fn chains_given_back_newest_first_are_taken_again_in_order() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (mut driver, mut device) = ends(&mut page, features);
        // Many rounds, so that the rings wrap around at different places.
        for round in 0..30 {
            add(&mut driver, 10 * round, 1);
            add(&mut driver, 10 * round + 1, 2);
            let before = device.position();
            let (first, second) = (pop(&mut device), pop(&mut device));
            device.unpop(second).unwrap();
            device.unpop(first).unwrap();
            assert_eq!(device.position(), before);
            let (first, second) = (pop(&mut device), pop(&mut device));
            device.complete(first, 8).unwrap();
            device.complete(second, 16).unwrap();
            let _ = device.publish();
            assert_eq!([0; 3].map(|_| reap(&mut driver)), [Some(10 * round), Some(10 * round + 1), None]);
        }
    }
}

#[test]
fn only_the_newest_can_be_given_back_and_the_others_can_still_be_completed() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (mut driver, mut device) = ends(&mut page, features);
        (0..3).for_each(|cookie| add(&mut driver, cookie, 1));
        let [first, second, third] = [pop(&mut device), pop(&mut device), pop(&mut device)];
        let Err(CompleteError::NotNewest(first)) = device.unpop(first) else { panic!("not the newest") };
        device.complete(third, 8).unwrap();
        // Not even now: the third has been returned, and would be taken again.
        let Err(CompleteError::NotNewest(second)) = device.unpop(second) else { panic!("a hole") };
        device.complete(second, 8).unwrap();
        device.complete(first, 8).unwrap();
        let _ = device.publish();
        let mut returned = [0; 3].map(|_| reap(&mut driver).unwrap());
        returned.sort_unstable();
        assert_eq!(returned, [0, 1, 2]);
    }
}

#[test]
fn another_device_goes_on_with_what_was_given_back() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (mut driver, mut device) = ends(&mut page, features);
        (0..3).for_each(|cookie| add(&mut driver, cookie, 1));
        let [first, second, third] = [pop(&mut device), pop(&mut device), pop(&mut device)];
        device.complete(first, 8).unwrap();
        device.unpop(third).unwrap();
        device.unpop(second).unwrap();
        let (position, _) = device.suspend();
        let memory = device.memory().clone();
        let size = if features.contains(Features::RING_PACKED) { 5 } else { 4 };
        let setup = Setup::new(size, features, Areas { descriptor: 0, driver: 0x100, device: 0x200 });
        let mut successor = DeviceQueue::new(memory, &setup, [device::Slot::default(); 8]).unwrap();
        successor.resume(position).unwrap();
        for _ in 0..2 {
            let token = pop(&mut successor);
            successor.complete(token, 8).unwrap();
        }
        let _ = successor.publish();
        assert_eq!([0; 4].map(|_| reap(&mut driver)), [Some(0), Some(1), Some(2), None]);
    }
}

#[test]
fn a_stale_token_is_refused() {
    let mut page = [0; 512];
    let (mut driver, mut device) = ends(&mut page, Features::empty());
    add(&mut driver, 0, 1);
    let token = pop(&mut device);
    let setup = Setup::new(4, Features::empty(), Areas { descriptor: 0, driver: 0x100, device: 0x200 });
    let DeviceQueue::Split(split) = &mut device else { unreachable!("the queue was set up as a split one") };
    let memory = split.memory().clone();
    memory.write_bytes(0x100, &[0; 4]).unwrap();
    split.reset(memory, &setup).unwrap();
    split.resume(ring_core::Position { available: 1, used: 1 }).unwrap();
    assert_eq!(device.unpop(token), Err(CompleteError::Stale));
}
