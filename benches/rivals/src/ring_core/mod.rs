//! ring-core: both ends of split and packed queues.

mod ends;
mod payload;

use ring_core::Features;

use self::ends::{Negotiated, Packed, Rings, SendMemory, Split};
use crate::arena::Arena;
use crate::case::{Case, Ends};
use crate::ends::{DeviceEnd, DriverEnd};
use crate::fixture::Fixture;
use crate::implementation::{Connect, Implementation, connect};
use crate::pair::{Pair, Queue};
use crate::stub;

/// ring-core in one format, used through one of its interfaces.
#[derive(Clone, Copy, Debug)]
pub struct RingCore {
    format: Format,
    variant: Variant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Split,
    Packed,
}

/// The types that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variant {
    /// The types of one format, on plain memory.
    Exact,
    /// The types for either format, on plain memory.
    Negotiated,
    /// The types of one format. The device accesses memory through vm-memory.
    OnVmMemory,
}

/// Split queues.
pub const SPLIT: RingCore = RingCore { format: Format::Split, variant: Variant::Exact };
/// Packed queues.
pub const PACKED: RingCore = RingCore { format: Format::Packed, variant: Variant::Exact };
/// Split queues through the types for either format.
pub const SPLIT_NEGOTIATED: RingCore = RingCore { format: Format::Split, variant: Variant::Negotiated };
/// Packed queues through the types for either format.
pub const PACKED_NEGOTIATED: RingCore = RingCore { format: Format::Packed, variant: Variant::Negotiated };
/// Split queues on vm-memory.
pub const SPLIT_ON_VM_MEMORY: RingCore = RingCore { format: Format::Split, variant: Variant::OnVmMemory };
/// Packed queues on vm-memory.
pub const PACKED_ON_VM_MEMORY: RingCore = RingCore { format: Format::Packed, variant: Variant::OnVmMemory };

impl Implementation for RingCore {
    fn name(&self) -> &'static str {
        match (self.format, self.variant) {
            (Format::Split, Variant::Exact) => "ring-core split",
            (Format::Split, Variant::Negotiated) => "ring-core split, negotiated",
            (Format::Split, Variant::OnVmMemory) => "ring-core split on vm-memory",
            (Format::Packed, Variant::Exact) => "ring-core packed",
            (Format::Packed, Variant::Negotiated) => "ring-core packed, negotiated",
            (Format::Packed, Variant::OnVmMemory) => "ring-core packed on vm-memory",
        }
    }

    fn connect(&self, case: Case) -> Option<Connect> {
        let Self { format, variant } = *self;
        match (variant, case) {
            (Variant::Exact, Case::Bursts(Ends::Both, _) | Case::RoundTrip(_) | Case::TwoThreads(_)) => {
                connect(move || both(case, format))
            }
            (Variant::Exact, Case::Bursts(Ends::Driver, _)) => connect(move || driver(case, format)),
            (Variant::Exact, Case::Bursts(Ends::Device, _)) => {
                connect(move || device(case, format, Arena::raw))
            }
            (Variant::OnVmMemory, Case::Bursts(Ends::Device, _)) => {
                connect(move || device(case, format, Arena::vm))
            }
            (Variant::Negotiated, Case::Bursts(Ends::Both, _)) => {
                connect(move || both_of::<Negotiated>(Fixture::new(case, format.features())))
            }
            (Variant::Exact, Case::Payload(_)) if format == Format::Split => {
                connect(move || payload::connect(case, Arena::raw))
            }
            (Variant::OnVmMemory, Case::Payload(_)) if format == Format::Split => {
                connect(move || payload::connect(case, Arena::vm))
            }
            _ => None,
        }
    }

    fn count_name(&self, case: Case) -> Option<String> {
        let format = match self.format {
            Format::Split => "split",
            Format::Packed => "packed",
        };
        let variant = match self.variant {
            Variant::Exact => "",
            Variant::Negotiated => "/negotiated",
            Variant::OnVmMemory => "/mapped",
        };
        Some(format!("{format}/{case}{variant}"))
    }
}

impl Format {
    const fn features(self) -> Features {
        match self {
            Self::Split => Features::empty(),
            Self::Packed => Features::RING_PACKED,
        }
    }
}

/// Sets up both ends of ring-core.
fn both(case: Case, format: Format) -> Box<dyn Queue> {
    let fixture = Fixture::new(case, format.features());
    match format {
        Format::Split => both_of::<Split>(fixture),
        Format::Packed => both_of::<Packed>(fixture),
    }
}

fn both_of<R: Rings>(fixture: Fixture) -> Box<dyn Queue> {
    let device = R::device(fixture.arena.raw(), &fixture.setup);
    with_device::<R>(fixture, device)
}

/// Sets up the driver of ring-core and a stub of a device.
fn driver(case: Case, format: Format) -> Box<dyn Queue> {
    let fixture = Fixture::new(case, format.features());
    match format {
        Format::Split => {
            let device = stub::split::Device::new(&fixture);
            with_device::<Split>(fixture, device)
        }
        Format::Packed => {
            let device = stub::packed::Device::new(&fixture);
            with_device::<Packed>(fixture, device)
        }
    }
}

fn with_device<R: Rings>(fixture: Fixture, device: impl DeviceEnd + Send + 'static) -> Box<dyn Queue> {
    if fixture.shape.is_indirect() {
        let driver = R::driver::<true>(&fixture);
        Pair::boxed(fixture, driver, device)
    } else {
        let driver = R::driver::<false>(&fixture);
        Pair::boxed(fixture, driver, device)
    }
}

/// Sets up the device of ring-core on this memory, and a stub of a driver.
fn device<M: SendMemory>(case: Case, format: Format, memory: fn(&Arena) -> M) -> Box<dyn Queue> {
    let fixture = Fixture::new(case, format.features());
    match format {
        Format::Split => {
            let driver = stub::split::Driver::new(&fixture);
            with_driver::<Split, M>(fixture, driver, memory)
        }
        Format::Packed => {
            let driver = stub::packed::Driver::new(&fixture);
            with_driver::<Packed, M>(fixture, driver, memory)
        }
    }
}

fn with_driver<R: Rings, M: SendMemory>(
    fixture: Fixture,
    driver: impl DriverEnd + Send + 'static,
    memory: fn(&Arena) -> M,
) -> Box<dyn Queue> {
    let device = R::device(memory(&fixture.arena), &fixture.setup);
    Pair::boxed(fixture, driver, device)
}
