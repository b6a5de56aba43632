//! A buffer that the device keeps while any number of others go by.

use ring_core::memory::RawMemory;
use ring_core::{
    CompleteError, DeviceQueue, DriverQueue, Features, Position, Segment, Setup, SetupError, device, driver,
};

const FORMATS: [Features; 2] = [Features::empty(), Features::RING_PACKED];

type DriverEnd<'m> = DriverQueue<RawMemory<'m>, [driver::Slot<u32>; 4], u32>;
type DeviceEnd<'m> = DeviceQueue<RawMemory<'m>, [device::Slot; 4]>;

fn ends(page: &mut [u64; 512], features: Features) -> (DriverEnd<'_>, DeviceEnd<'_>) {
    let memory = RawMemory::from_mut(page, 0);
    let (setup, _) = Setup::contiguous(0, 4, features).unwrap();
    let driver = DriverQueue::new(memory.clone(), &setup, [driver::Slot::EMPTY; 4]).unwrap();
    (driver, DeviceQueue::new(memory, &setup, [device::Slot::default(); 4]).unwrap())
}

fn add(driver: &mut DriverEnd<'_>, cookie: u32) {
    driver.add(&[Segment::new(0x800, 8)], &[], cookie).unwrap();
    driver.publish_silently();
}

fn pop(device: &mut DeviceEnd<'_>) -> ring_core::Token {
    device.pop(&mut [Segment::default(); 4]).unwrap().unwrap().into_token()
}

/// Sends `count` buffers there and back.
fn pass(driver: &mut DriverEnd<'_>, device: &mut DeviceEnd<'_>, count: u32) {
    for cookie in 0..count {
        add(driver, cookie);
        let token = pop(device);
        device.complete(token, 0).unwrap();
        device.publish_silently();
        assert_eq!(driver.reap().unwrap().map(|used| used.cookie), Some(cookie));
    }
}

#[test]
fn a_buffer_comes_back_however_many_others_have_overtaken_it() {
    for features in FORMATS {
        for others in [1, 32_767, 32_768, 40_000, 65_535, 65_536] {
            let mut page = [0; 512];
            let (mut driver, mut device) = ends(&mut page, features);
            add(&mut driver, 7);
            let held = pop(&mut device);
            pass(&mut driver, &mut device, others);
            device.complete(held, 0).unwrap();
            device.publish_silently();
            assert_eq!(driver.reap().unwrap().map(|used| used.cookie), Some(7), "{features:?} {others}");
        }
    }
}

#[test]
fn a_chain_that_others_have_overtaken_is_not_given_back() {
    for features in FORMATS {
        // As many as bring the ring back to where the held chain began.
        for others in [4, 8, 65_536] {
            let mut page = [0; 512];
            let (mut driver, mut device) = ends(&mut page, features);
            add(&mut driver, 7);
            let held = pop(&mut device);
            pass(&mut driver, &mut device, others);
            let refused = device.unpop(held).unwrap_err();
            assert!(matches!(refused, CompleteError::NotNewest(_)), "{features:?} {others}: {refused}");
            assert_eq!(device.pop(&mut [Segment::default(); 4]).unwrap(), None);
        }
    }
}

#[test]
fn a_device_that_holds_chains_goes_on_only_where_it_stands() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (mut driver, mut device) = ends(&mut page, features);
        (0..2).for_each(|cookie| add(&mut driver, cookie));
        let held = [pop(&mut device), pop(&mut device)];
        let (position, _) = device.suspend();
        let start = Position { available: position.used, used: position.used };
        assert_eq!(device.resume(start), Err(SetupError::InFlight { descriptors: 2 }));
        assert_eq!(
            device.resume(Position::quiescent(position.available)),
            Err(SetupError::InFlight { descriptors: 2 })
        );
        device.resume(position).unwrap();
        held.into_iter().for_each(|token| device.complete(token, 0).unwrap());
        device.publish_silently();
        assert_eq!([0; 2].map(|_| driver.reap().unwrap().unwrap().cookie), [0, 1]);
    }
}

#[test]
fn a_chain_is_not_given_back_in_a_suspended_queue() {
    for features in FORMATS {
        let mut page = [0; 512];
        let (mut driver, mut device) = ends(&mut page, features);
        add(&mut driver, 7);
        let held = pop(&mut device);
        let (position, _) = device.suspend();
        let Err(CompleteError::Suspended(held)) = device.unpop(held) else { panic!("{position:?} moved") };
        device.resume(position).unwrap();
        device.unpop(held).unwrap();
        assert!(device.pop(&mut [Segment::default(); 4]).unwrap().is_some());
    }
}
