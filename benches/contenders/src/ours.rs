//! ring-core.

use ring_core::memory::Memory;
use ring_core::{Arm, Segment, Setup, device, driver, packed, split};

use crate::{DeviceEnd, DriverEnd, QUEUE_SIZE, Request, Tally};

/// The longest chain that is measured.
pub const MOST_SEGMENTS: usize = 64;

type DriverSlots = Box<[driver::Slot<u16>]>;
type DeviceSlots = Box<[device::Slot]>;

/// A driver's end that adds requests to the ring itself.
#[derive(Debug)]
pub struct Direct<D>(pub D);

/// A driver's end that adds requests through tables.
#[derive(Debug)]
pub struct Indirect<D>(pub D);

/// A device's end, and the storage that it lends to `pop`.
#[derive(Debug)]
pub struct Taking<V> {
    queue: V,
    segments: [Segment; MOST_SEGMENTS],
}

/// Makes a contender of the ends of one format, or of those of either format.
macro_rules! contend {
    ($driver:ty, $device:ty, $make_driver:ident, $make_device:ident) => {
        /// The driver's end of the queue that `setup` says.
        ///
        /// # Panics
        ///
        /// If the queue cannot be set up.
        pub fn $make_driver<M: Memory>(memory: M, setup: &Setup) -> $driver {
            let slots = (0..QUEUE_SIZE).map(|_| driver::Slot::EMPTY).collect();
            <$driver>::new(memory, setup, slots).expect("the arena has room for the queue")
        }

        /// The device's end of the queue that `setup` says.
        ///
        /// # Panics
        ///
        /// If the queue cannot be set up.
        pub fn $make_device<M: Memory>(memory: M, setup: &Setup) -> Taking<$device> {
            let slots = (0..QUEUE_SIZE).map(|_| device::Slot::default()).collect();
            let queue = <$device>::new(memory, setup, slots).expect("the arena has room for the queue");
            Taking { queue, segments: [Segment::default(); MOST_SEGMENTS] }
        }

        impl<M: Memory> DriverEnd for Direct<$driver> {
            #[inline(always)]
            fn add(&mut self, request: &Request) {
                let added = self.0.add(request.readable(), request.writable(), request.cookie);
                assert!(added.is_ok(), "a burst fits the queue");
            }

            #[inline(always)]
            fn publish(&mut self) {
                self.0.publish_silently();
            }

            #[inline(always)]
            fn announce(&mut self) -> bool {
                self.0.publish().is_needed()
            }

            #[inline(always)]
            fn arm(&mut self) -> bool {
                self.0.arm() == Arm::Armed
            }

            #[inline(always)]
            fn reap(&mut self) -> Option<(u16, u32)> {
                let Ok(used) = self.0.reap() else { panic!("the device follows the rules") };
                used.map(|used| (used.cookie, used.written))
            }
        }

        impl<M: Memory> DriverEnd for Indirect<$driver> {
            #[inline(always)]
            fn add(&mut self, request: &Request) {
                let (table, cookie) = (request.table, request.cookie);
                let added = self.0.add_indirect(table, request.readable(), request.writable(), cookie);
                assert!(added.is_ok(), "a burst fits the queue");
            }

            #[inline(always)]
            fn publish(&mut self) {
                self.0.publish_silently();
            }

            #[inline(always)]
            fn announce(&mut self) -> bool {
                self.0.publish().is_needed()
            }

            #[inline(always)]
            fn arm(&mut self) -> bool {
                self.0.arm() == Arm::Armed
            }

            #[inline(always)]
            fn reap(&mut self) -> Option<(u16, u32)> {
                let Ok(used) = self.0.reap() else { panic!("the device follows the rules") };
                used.map(|used| (used.cookie, used.written))
            }
        }

        impl<M: Memory> DeviceEnd for Taking<$device> {
            #[inline(always)]
            fn serve(&mut self, limit: usize, tally: &mut Tally) -> usize {
                let mut served = 0;
                while served < limit {
                    let Ok(popped) = self.queue.pop(&mut self.segments) else {
                        panic!("the driver follows the rules")
                    };
                    let Some(chain) = popped else { break };
                    chain.readable().iter().for_each(|&segment| tally.read(segment));
                    chain.writable().iter().for_each(|&segment| tally.write(segment));
                    let token = chain.into_token();
                    let written = token.writable();
                    let completed = self.queue.complete(token, written);
                    assert!(completed.is_ok(), "the token is fresh");
                    served += 1;
                }
                self.queue.publish_silently();
                served
            }

            #[inline(always)]
            fn announce(&mut self) -> bool {
                self.queue.publish().is_needed()
            }

            #[inline(always)]
            fn arm(&mut self) -> bool {
                self.queue.arm() == Arm::Armed
            }
        }
    };
}

contend!(split::DriverQueue<M, DriverSlots, u16>, split::DeviceQueue<M, DeviceSlots>, split_driver, split_device);
contend!(packed::DriverQueue<M, DriverSlots, u16>, packed::DeviceQueue<M, DeviceSlots>, packed_driver, packed_device);
contend!(ring_core::DriverQueue<M, DriverSlots, u16>, ring_core::DeviceQueue<M, DeviceSlots>, driver, device);
