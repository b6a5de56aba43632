//! What ring-core can be made to do on one thread, and its names.

use std::fmt;

use ring_core::{Features, Setup};

use crate::ours::{self, Direct, Indirect};
use crate::{Arena, DeviceEnd, DriverEnd, Pair, Request, Shape, Work, stub};

/// The format of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Split.
    Split,
    /// Packed.
    Packed,
}

/// Which ends are measured; the other one is a stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Driver and device.
    Both,
    /// The driver alone.
    Driver,
    /// The device alone.
    Device,
    /// Neither: what the stubs themselves cost.
    Neither,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "both",
            Self::Driver => "driver",
            Self::Device => "device",
            Self::Neither => "neither",
        })
    }
}

const SIDES: [Side; 4] = [Side::Both, Side::Device, Side::Driver, Side::Neither];

/// How ring-core is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The types of one format, on a pointer.
    Plain,
    /// The types for either format, on a pointer.
    Negotiated,
    /// The types of one format; the device sees memory through vm-memory.
    Mapped,
}

/// One thing to measure. Displayed, it is a name: `split/device/3-indirect/mapped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The format.
    pub format: Format,
    /// The ends.
    pub side: Side,
    /// The requests.
    pub shape: Shape,
    /// The types.
    pub way: Way,
}

impl Spec {
    /// Everything that there is to measure.
    pub fn all() -> impl Iterator<Item = Self> {
        let ways = [Way::Plain, Way::Negotiated, Way::Mapped];
        let formats = [Format::Split, Format::Packed].into_iter();
        let sided = formats.flat_map(|format| SIDES.map(|side| (format, side)));
        let shaped = sided.flat_map(|(format, side)| {
            [Shape::ONE, Shape::THREE, Shape::THREE_INDIRECT].map(|shape| (format, side, shape))
        });
        shaped
            .flat_map(move |(format, side, shape)| ways.map(|way| Self { format, side, shape, way }))
            .filter(|spec| match spec.way {
                Way::Plain => true,
                Way::Negotiated => spec.side == Side::Both,
                Way::Mapped => spec.side == Side::Device,
            })
    }

    /// Sets it up.
    #[must_use]
    pub fn work(self) -> Box<dyn Work> {
        let arena = Arena::new();
        let (raw, requests) = (arena.raw(), Request::burst(&arena, self.shape));
        let (shape, setup) = (self.shape, &self.setup(&arena));
        match (self.way, self.format, self.side) {
            (Way::Plain, Format::Split, Side::Both) => {
                let device = ours::split_device(raw.clone(), setup);
                shaped(ours::split_driver(raw, setup), device, requests, shape)
            }
            (Way::Plain, Format::Packed, Side::Both) => {
                let device = ours::packed_device(raw.clone(), setup);
                shaped(ours::packed_driver(raw, setup), device, requests, shape)
            }
            (Way::Plain, Format::Split, Side::Driver) => {
                let device = stub::split::Device::new(&arena, setup, &requests);
                shaped(ours::split_driver(raw, setup), device, requests, shape)
            }
            (Way::Plain, Format::Packed, Side::Driver) => {
                let device = stub::packed::Device::new(&arena, setup, &requests, shape);
                shaped(ours::packed_driver(raw, setup), device, requests, shape)
            }
            (Way::Plain, Format::Split, Side::Device) => {
                let driver = stub::split::Driver::new(&arena, setup, &requests, shape);
                pair(driver, ours::split_device(raw, setup), requests)
            }
            (Way::Plain, Format::Packed, Side::Device) => {
                let driver = stub::packed::Driver::new(&arena, setup, &requests, shape);
                pair(driver, ours::packed_device(raw, setup), requests)
            }
            (Way::Plain, Format::Split, Side::Neither) => {
                let driver = stub::split::Driver::new(&arena, setup, &requests, shape);
                pair(driver, stub::split::Device::new(&arena, setup, &requests), requests)
            }
            (Way::Plain, Format::Packed, Side::Neither) => {
                let driver = stub::packed::Driver::new(&arena, setup, &requests, shape);
                pair(driver, stub::packed::Device::new(&arena, setup, &requests, shape), requests)
            }
            (Way::Mapped, Format::Split, _) => {
                let driver = stub::split::Driver::new(&arena, setup, &requests, shape);
                pair(driver, ours::split_device(arena.vm(), setup), requests)
            }
            (Way::Mapped, Format::Packed, _) => {
                let driver = stub::packed::Driver::new(&arena, setup, &requests, shape);
                pair(driver, ours::packed_device(arena.vm(), setup), requests)
            }
            (Way::Negotiated, ..) => {
                let device = ours::device(raw.clone(), setup);
                shaped(ours::driver(raw, setup), device, requests, shape)
            }
        }
    }

    fn setup(self, arena: &Arena) -> Setup {
        arena.setup(match self.format {
            Format::Split => Features::empty(),
            Format::Packed => Features::RING_PACKED,
        })
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.format {
            Format::Split => "split",
            Format::Packed => "packed",
        };
        let way = match self.way {
            Way::Plain => "",
            Way::Negotiated => "/negotiated",
            Way::Mapped => "/mapped",
        };
        write!(f, "{format}/{}/{}{way}", self.side, self.shape)
    }
}

/// A pair whose driver adds requests in this shape.
fn shaped<D>(
    driver: D,
    device: impl DeviceEnd + 'static,
    requests: Vec<Request>,
    shape: Shape,
) -> Box<dyn Work>
where
    Direct<D>: DriverEnd + 'static,
    Indirect<D>: DriverEnd + 'static,
{
    if shape.is_indirect() {
        pair(Indirect(driver), device, requests)
    } else {
        pair(Direct(driver), device, requests)
    }
}

pub(crate) fn pair(
    driver: impl DriverEnd + 'static,
    device: impl DeviceEnd + 'static,
    requests: Vec<Request>,
) -> Box<dyn Work> {
    Box::new(Pair { driver, device, requests })
}
