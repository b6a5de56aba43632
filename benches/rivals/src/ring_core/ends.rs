//! The ends of ring-core as the suite sees them.

use ring_core::memory::{Dma, Memory, RawMemory};
use ring_core::{Arm, Segment, Setup, device, driver, packed, split};

use crate::arena::QUEUE_SIZE;
use crate::ends::{DeviceEnd, DriverEnd, Seen};
use crate::fixture::Fixture;
use crate::request::Request;

/// The longest chain of any case.
pub(super) const LONGEST_CHAIN: usize = 64;

/// Slots beyond those of the queue: at least 128 bytes, so that the slots of two ends share no
/// cache line.
const SPARE_SLOTS: u16 = 16;

type DriverSlots = Box<[driver::Slot<u16>]>;
type DeviceSlots = Box<[device::Slot]>;

/// Memory that may be moved to another thread together with its areas.
pub(super) trait SendMemory: Memory<Area: Send> + Send + 'static {}

impl<M: Memory<Area: Send> + Send + 'static> SendMemory for M {}

/// The queue types that a case measures: those of one format, or the enums over both.
pub(super) trait Rings {
    /// Makes the driver's end of the queue in `fixture`, which uses indirect tables if `INDIRECT`
    /// is set.
    fn driver<const INDIRECT: bool>(fixture: &Fixture) -> impl DriverEnd + Send + 'static;

    /// Makes the device's end of a queue in `memory`.
    fn device(memory: impl SendMemory, setup: &Setup) -> impl DeviceEnd + Send + 'static;
}

/// The types of split queues.
pub(super) enum Split {}
/// The types of packed queues.
pub(super) enum Packed {}
/// The types for either format.
pub(super) enum Negotiated {}

/// A driver's end.
struct Driver<D, const INDIRECT: bool>(D);

/// A device's end, and the storage for the segments of a chain.
struct Device<V> {
    queue: V,
    segments: [Segment; LONGEST_CHAIN],
}

/// Implements the ends of the suite for the ends of ring-core, which share no trait.
macro_rules! rings {
    ($rings:ident, $($module:ident)::+) => {
        impl Rings for $rings {
            fn driver<const INDIRECT: bool>(fixture: &Fixture) -> impl DriverEnd + Send + 'static {
                let slots: DriverSlots = (0..QUEUE_SIZE + SPARE_SLOTS).map(|_| driver::Slot::EMPTY).collect();
                let queue = $($module)::+::DriverQueue::new(fixture.arena.raw(), &fixture.setup, slots);
                Driver::<$($module)::+::DriverQueue<Dma<RawMemory<'static>>, _, u16>, INDIRECT>(
                    queue.expect("the arena has room for the queue"),
                )
            }

            fn device(memory: impl SendMemory, setup: &Setup) -> impl DeviceEnd + Send + 'static {
                let slots: DeviceSlots =
                    (0..QUEUE_SIZE + SPARE_SLOTS).map(|_| device::Slot::EMPTY).collect();
                let queue = $($module)::+::DeviceQueue::new(memory, setup, slots);
                Device {
                    queue: queue.expect("the arena has room for the queue"),
                    segments: [Segment::default(); LONGEST_CHAIN],
                }
            }
        }

        impl<M: Memory, const INDIRECT: bool> DriverEnd
            for Driver<$($module)::+::DriverQueue<M, DriverSlots, u16>, INDIRECT>
        {
            #[inline(always)]
            fn submit(&mut self, requests: &[Request]) {
                for request in requests {
                    let (readable, writable, cookie) =
                        (request.readable(), request.writable(), request.cookie);
                    let added = if INDIRECT {
                        self.0.add_indirect(request.table, readable, writable, cookie)
                    } else {
                        self.0.add(readable, writable, cookie)
                    };
                    assert!(added.is_ok(), "a burst fits the queue");
                }
                self.0.publish_silently();
            }

            #[inline(always)]
            fn collect(&mut self, mut each: impl FnMut(u16, u32)) {
                loop {
                    let Ok(used) = self.0.reap() else { panic!("the device follows the rules") };
                    let Some(used) = used else { return };
                    each(used.cookie, used.written);
                }
            }

            #[inline(always)]
            fn decide(&mut self) -> bool {
                self.0.publish().is_needed()
            }
        }

        impl<M: Memory> DeviceEnd for Device<$($module)::+::DeviceQueue<M, DeviceSlots>> {
            #[inline(always)]
            fn serve(&mut self, limit: usize, seen: &mut Seen) -> usize {
                let mut served = 0;
                while served < limit {
                    let Ok(popped) = self.queue.pop(&mut self.segments) else {
                        panic!("the driver follows the rules")
                    };
                    let Some(chain) = popped else { break };
                    chain.readable().iter().for_each(|&segment| seen.read(segment));
                    chain.writable().iter().for_each(|&segment| seen.write(segment));
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
            fn decide(&mut self) -> bool {
                self.queue.publish().is_needed()
            }

            #[inline(always)]
            fn arm(&mut self) -> bool {
                self.queue.arm() == Arm::Armed
            }
        }
    };
}

rings!(Split, split);
rings!(Packed, packed);
rings!(Negotiated, ring_core);
