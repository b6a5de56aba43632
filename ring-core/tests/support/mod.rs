//! What the tests of the rings have in common: the four cells, and queues to run them in.

use ring_core::memory::Memory;
use ring_core::{Areas, DeviceQueue, DriverQueue, Features, Setup, device, driver};

pub(crate) const SPLIT: Features = Features::empty();
pub(crate) const PACKED: Features = Features::RING_PACKED;
pub(crate) const EVENT_IDX: Features = Features::EVENT_IDX;
pub(crate) const INDIRECT: Features = Features::INDIRECT_DESC;
pub(crate) const IN_ORDER: Features = Features::IN_ORDER;

/// Where shared memory begins, and where the areas are in it. Each is far larger than the queues need.
pub(crate) const DESCRIPTORS: u64 = 0x1000;
pub(crate) const DRIVER: u64 = 0x1200;
pub(crate) const DEVICE: u64 = 0x1300;
/// Where the buffers are, up to the end of shared memory.
pub(crate) const BUFFERS: u64 = 0x1400;

/// All of shared memory, before there was a queue.
pub(crate) const ZEROED: [u64; 0x400] = [0; 0x400];

pub(crate) type DriverEnd<M, T> = DriverQueue<M, Vec<driver::Slot<T>>, T>;
pub(crate) type DeviceEnd<M> = DeviceQueue<M, Vec<device::Slot>>;

/// A queue of up to 32 descriptors.
pub(crate) const fn setup(size: u16, features: Features) -> Setup {
    Setup::new(size, features, Areas { descriptor: DESCRIPTORS, driver: DRIVER, device: DEVICE })
}

pub(crate) fn driver_end<M: Memory, T>(memory: M, setup: &Setup) -> DriverEnd<M, T> {
    let slots = (0..setup.size).map(|_| driver::Slot::EMPTY).collect();
    DriverQueue::new(memory, setup, slots).expect("the areas are mapped")
}

pub(crate) fn device_end<M: Memory>(memory: M, setup: &Setup) -> DeviceEnd<M> {
    let slots = vec![device::Slot::default(); usize::from(setup.size)];
    DeviceQueue::new(memory, setup, slots).expect("the areas are mapped")
}

/// Sets the device end up anew.
pub(crate) fn reset_device<M: Memory + Clone>(device: &mut DeviceEnd<M>, memory: &M, setup: &Setup) {
    device.reset(memory.clone(), setup).expect("the areas are mapped");
}

/// Sets the driver end up anew. Returns the cookies of what was in flight.
pub(crate) fn reset_driver<M: Memory + Clone, T>(
    driver: &mut DriverEnd<M, T>,
    memory: &M,
    setup: &Setup,
) -> Vec<T> {
    let mut cookies = Vec::new();
    driver.reset(memory.clone(), setup, |cookie| cookies.push(cookie)).expect("the areas are mapped");
    cookies
}
