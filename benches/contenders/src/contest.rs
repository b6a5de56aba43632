//! Who competes at what on one thread.

use std::fmt;

use ring_core::Features;

use crate::works::{Format, Side, Spec, Way, pair};
use crate::{Arena, Request, Shape, Work, libblkio, rcore, rust_vmm, spsc, stub};

/// Requests of one shape, with one end or both measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contest {
    /// The ends.
    pub side: Side,
    /// The requests.
    pub shape: Shape,
}

/// Whoever takes part.
#[derive(Clone, Copy, Debug)]
pub struct Entrant {
    /// What it is called in reports.
    pub name: &'static str,
    /// Sets it up.
    pub make: fn(Shape) -> Box<dyn Work>,
}

impl Contest {
    /// Each of them.
    pub fn all() -> impl Iterator<Item = Self> {
        [Side::Both, Side::Device, Side::Driver].into_iter().flat_map(|side| {
            [Shape::ONE, Shape::THREE, Shape::THREE_INDIRECT].map(|shape| Self { side, shape })
        })
    }

    /// Those who take part. The first one is what all are compared with.
    #[must_use]
    pub fn entrants(self) -> Vec<Entrant> {
        let mut entrants: Vec<Entrant> = match self.side {
            Side::Both => [OURS_BOTH.as_slice(), PEERS_BOTH].concat(),
            Side::Device => [OURS_DEVICE.as_slice(), PEERS_DEVICE, STUBS].concat(),
            Side::Driver => [OURS_DRIVER.as_slice(), PEERS_DRIVER, STUBS].concat(),
            Side::Neither => STUBS.to_vec(),
        };
        entrants.retain(|entrant| match entrant.name {
            SPSC => self.shape == Shape::ONE,
            // virtio-drivers has its tables on the heap, where the device would not find them; and
            // virtio-driver has none.
            VIRTIO_BOTH | LIBBLKIO_SPLIT | LIBBLKIO_PACKED => !self.shape.is_indirect(),
            _ => true,
        });
        entrants
    }
}

impl fmt::Display for Contest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.side, self.shape)
    }
}

const SPLIT: &str = "ring-core split";
const PACKED: &str = "ring-core packed";
const VIRTIO_BOTH: &str = "virtio-drivers + virtio-queue";
const LIBBLKIO_SPLIT: &str = "virtio-driver split";
const LIBBLKIO_PACKED: &str = "virtio-driver packed";
const SPSC: &str = "two rtrb rings (no virtqueue)";

const fn entrant(name: &'static str, make: fn(Shape) -> Box<dyn Work>) -> Entrant {
    Entrant { name, make }
}

const OURS_BOTH: [Entrant; 2] = [
    entrant(SPLIT, |shape| ours(Format::Split, Side::Both, shape, Way::Plain)),
    entrant(PACKED, |shape| ours(Format::Packed, Side::Both, shape, Way::Plain)),
];

const PEERS_BOTH: &[Entrant] = &[
    entrant(VIRTIO_BOTH, |shape| {
        let arena = Arena::new();
        let requests = Request::burst(&arena, shape);
        let (driver, setup) = rcore::Driver::new(&arena, &requests, shape);
        pair(driver, rust_vmm::Popping::new(arena.mapped(), &setup), requests)
    }),
    entrant(SPSC, |shape| {
        let requests = Request::burst(&Arena::new(), shape);
        let (driver, device) = spsc::chunked_ends();
        pair(driver, device, requests)
    }),
];

const OURS_DEVICE: [Entrant; 4] = [
    entrant(SPLIT, |shape| ours(Format::Split, Side::Device, shape, Way::Plain)),
    entrant(PACKED, |shape| ours(Format::Packed, Side::Device, shape, Way::Plain)),
    entrant("ring-core split on vm-memory", |shape| ours(Format::Split, Side::Device, shape, Way::Mapped)),
    entrant("ring-core packed on vm-memory", |shape| ours(Format::Packed, Side::Device, shape, Way::Mapped)),
];

const PEERS_DEVICE: &[Entrant] = &[
    entrant("virtio-queue", |shape| {
        let arena = Arena::new();
        let requests = Request::burst(&arena, shape);
        let setup = arena.setup(Features::empty());
        let driver = stub::split::Driver::new(&arena, &setup, &requests, shape);
        pair(driver, rust_vmm::Popping::new(arena.mapped(), &setup), requests)
    }),
    entrant("virtio-queue, iterating", |shape| {
        let arena = Arena::new();
        let requests = Request::burst(&arena, shape);
        let setup = arena.setup(Features::empty());
        let driver = stub::split::Driver::new(&arena, &setup, &requests, shape);
        pair(driver, rust_vmm::Iterating::new(arena.mapped(), &setup), requests)
    }),
];

const OURS_DRIVER: [Entrant; 2] = [
    entrant(SPLIT, |shape| ours(Format::Split, Side::Driver, shape, Way::Plain)),
    entrant(PACKED, |shape| ours(Format::Packed, Side::Driver, shape, Way::Plain)),
];

const PEERS_DRIVER: &[Entrant] = &[
    entrant("virtio-drivers", |shape| {
        let arena = Arena::new();
        let requests = Request::burst(&arena, shape);
        let (driver, setup) = rcore::Driver::new(&arena, &requests, shape);
        pair(driver, stub::split::Device::new(&arena, &setup, &requests), requests)
    }),
    entrant(LIBBLKIO_SPLIT, |shape| {
        let arena = Arena::new();
        let requests = Request::burst(&arena, shape);
        let (driver, setup) = libblkio::Driver::new(&arena, Features::empty());
        pair(driver, stub::split::Device::new(&arena, &setup, &requests), requests)
    }),
    entrant(LIBBLKIO_PACKED, |shape| {
        let arena = Arena::new();
        let requests = Request::burst(&arena, shape);
        let (driver, setup) = libblkio::Driver::new(&arena, Features::RING_PACKED);
        pair(driver, stub::packed::Device::new(&arena, &setup, &requests, shape), requests)
    }),
];

/// What is left of a time without the end that is measured.
const STUBS: &[Entrant] = &[
    entrant("two split stubs", |shape| ours(Format::Split, Side::Neither, shape, Way::Plain)),
    entrant("two packed stubs", |shape| ours(Format::Packed, Side::Neither, shape, Way::Plain)),
];

fn ours(format: Format, side: Side, shape: Shape, way: Way) -> Box<dyn Work> {
    Spec { format, side, shape, way }.work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_passes_every_request_whole_and_once() {
        for contest in Contest::all() {
            for entrant in contest.entrants() {
                println!("{contest} {}", entrant.name);
                (entrant.make)(contest.shape).check();
            }
        }
    }
}
