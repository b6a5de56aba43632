//! ring-core: both ends of split and packed queues.
//!
//! For each style of calls, a file implements [`DriverEnd`] and [`DeviceEnd`] for the [`Driver`]
//! and the [`Device`] of that style. For each style and format, there is a program in `src/bin`.

mod burst;
mod payload;
mod plain;
mod queues;

use std::marker::PhantomData;

use ring_core::memory::{Dma, RawMemory, VmMemory};
use vm_memory::GuestMemoryMmap;

pub use self::burst::{Burst, Serve};
pub use self::payload::Payload;
pub use self::plain::Plain;
pub use self::queues::{
    Device, DeviceSlots, Driver, DriverSlots, Negotiated, Packed, Queues, SendMemory, Split,
};
use crate::arena::Arena;
use crate::case::{Bursts, Case, Ends};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::implementation::Implementation;
use crate::pair::{Pair, Queue};
use crate::stub::Format;

/// ring-core's queues of the types `Q`, used through the calls `C`, on plain memory.
#[derive(Debug)]
pub struct RingCore<Q, C>(PhantomData<(Q, C)>);

impl<Q, C> RingCore<Q, C> {
    /// Returns the implementation.
    #[expect(clippy::new_without_default, reason = "a marker type, without a value")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Q: Queues, C: 'static> Implementation for RingCore<Q, C>
where
    Driver<C, Q::Driver>: DriverEnd + Send + 'static,
    Device<C, Q::Device<Dma<RawMemory<'static>>>>: DeviceEnd + Send + 'static,
{
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let fixture = Fixture::new(case, Q::Format::FEATURES);
        let driver = || Driver::<C, _>::new(Q::driver(&fixture));
        let device = || Device::<C, _>::new(Q::device(fixture.arena.raw(), &fixture.setup));
        match case {
            Case::Bursts(Bursts { ends: Ends::Both, .. }) | Case::RoundTrip(_) | Case::TwoThreads(_) => {
                let (driver, device) = (driver(), device());
                Some(Pair::boxed(fixture, driver, device))
            }
            Case::Bursts(Bursts { ends: Ends::Driver, .. }) => {
                let (driver, device) = (driver(), Q::Format::device(&fixture));
                Some(Pair::boxed(fixture, driver, device))
            }
            Case::Bursts(Bursts { ends: Ends::Device, .. }) => {
                let (driver, device) = (Q::Format::driver(&fixture), device());
                Some(Pair::boxed(fixture, driver, device))
            }
            Case::Bursts(Bursts { ends: Ends::Neither, .. }) | Case::Payload(_) => None,
        }
    }
}

/// The device's end of [`RingCore`] on vm-memory.
#[derive(Debug)]
pub struct OnVmMemory<Q, C>(PhantomData<(Q, C)>);

impl<Q, C> OnVmMemory<Q, C> {
    /// Returns the implementation.
    #[expect(clippy::new_without_default, reason = "a marker type, without a value")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Q: Queues, C: 'static> Implementation for OnVmMemory<Q, C>
where
    Device<C, Q::Device<VmMemory<GuestMemoryMmap>>>: DeviceEnd + Send + 'static,
{
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>> {
        let Case::Bursts(Bursts { ends: Ends::Device, .. }) = case else { return None };
        let fixture = Fixture::new(case, Q::Format::FEATURES);
        let device = Device::<C, _>::new(Q::device(Arena::vm(&fixture.arena), &fixture.setup));
        let driver = Q::Format::driver(&fixture);
        Some(Pair::boxed(fixture, driver, device))
    }
}
