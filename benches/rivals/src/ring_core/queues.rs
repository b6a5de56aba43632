//! The ends of ring-core by their format, independent of the style of calls.

use std::marker::PhantomData;

use ring_core::memory::{Dma, Memory, RawMemory};
use ring_core::{Segment, Setup, device, driver, packed, split};

use crate::fixture::Fixture;
use crate::stub;

/// The number of segments of the longest chain of any case.
pub(super) const LONGEST_CHAIN: usize = 64;

/// Slots beyond those of the queue: at least 128 bytes, so that the slots of two ends share no
/// cache line.
const SPARE_SLOTS: u16 = 16;

/// The storage of a driver's end.
pub type DriverSlots = Box<[driver::Slot<u16>]>;
/// The storage of a device's end.
pub type DeviceSlots = Box<[device::Slot]>;

/// Memory that may be moved to another thread together with its areas.
pub trait SendMemory: Memory<Area: Send> + Send + 'static {}

impl<M: Memory<Area: Send> + Send + 'static> SendMemory for M {}

/// A driver's end, which is used through the calls that `C` stands for.
#[derive(Debug)]
pub struct Driver<C, Q> {
    pub(super) queue: Q,
    calls: PhantomData<C>,
}

/// A device's end, which is used through the calls that `C` stands for, and the storage for the
/// segments of a chain.
#[derive(Debug)]
pub struct Device<C, Q> {
    pub(super) queue: Q,
    pub(super) segments: [Segment; LONGEST_CHAIN],
    calls: PhantomData<C>,
}

/// The queue types that a case measures: the types of one format, or the enums over both formats.
pub trait Queues: 'static {
    /// The format, and the stubs of the other ends.
    type Format: stub::Format;
    /// The driver's end.
    type Driver;
    /// The device's end.
    type Device<M: SendMemory>;

    /// Makes the driver's end of the queue in `fixture`.
    fn driver(fixture: &Fixture) -> Self::Driver;

    /// Makes the device's end of a queue in `memory`.
    fn device<M: SendMemory>(memory: M, setup: &Setup) -> Self::Device<M>;
}

/// The types of split queues.
#[derive(Debug)]
pub enum Split {}
/// The types of packed queues.
#[derive(Debug)]
pub enum Packed {}
/// The types for either format, for queues of the format `F`.
#[derive(Debug)]
pub struct Negotiated<F>(PhantomData<F>);

macro_rules! queues {
    ([$($parameters:tt)*] $queues:ty, $format:ty, $($module:ident)::+) => {
        impl<$($parameters)*> Queues for $queues {
            type Format = $format;
            type Driver = $($module)::+::DriverQueue<Dma<RawMemory<'static>>, DriverSlots, u16>;
            type Device<M: SendMemory> = $($module)::+::DeviceQueue<M, DeviceSlots>;

            fn driver(Fixture { arena, setup, .. }: &Fixture) -> Self::Driver {
                let slots: DriverSlots = (0..setup.size + SPARE_SLOTS).map(|_| driver::Slot::EMPTY).collect();
                Self::Driver::new(arena.raw(), setup, slots).expect("the arena has room for the queue")
            }

            fn device<M: SendMemory>(memory: M, setup: &Setup) -> Self::Device<M> {
                let slots: DeviceSlots = (0..setup.size + SPARE_SLOTS).map(|_| device::Slot::EMPTY).collect();
                Self::Device::new(memory, setup, slots).expect("the arena has room for the queue")
            }
        }
    };
}

queues!([] Split, stub::Split, split);
queues!([] Packed, stub::Packed, packed);
queues!([F: stub::Format] Negotiated<F>, F, ring_core);

impl<C, Q> Driver<C, Q> {
    pub(super) const fn new(queue: Q) -> Self {
        Self { queue, calls: PhantomData }
    }
}

impl<C, Q> Device<C, Q> {
    pub(super) const fn new(queue: Q) -> Self {
        let segments = [Segment { address: 0, len: 0 }; LONGEST_CHAIN];
        Self { queue, segments, calls: PhantomData }
    }
}
