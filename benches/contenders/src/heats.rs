//! Who competes at what on two threads.

use ring_core::Features;

use crate::ours::{self, Direct};
use crate::race::{Pace, Race};
use crate::{Arena, Pair, QUEUE_SIZE, Request, Shape, libblkio, rcore, rust_vmm, spsc};

/// A pace, and those who race at it. The first one is what all are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Heat {
    /// What it is called in reports.
    pub name: &'static str,
    /// The pace.
    pub pace: Pace,
    /// Those who race.
    pub racers: &'static [Racer],
}

/// Whoever races.
#[derive(Clone, Copy, Debug)]
pub struct Racer {
    /// What it is called in reports.
    pub name: &'static str,
    /// Sets it up.
    pub make: fn() -> Box<dyn Race>,
}

/// As many as a ring holds, but for one.
const FULL: usize = QUEUE_SIZE as usize - 1;

/// All heats.
pub const HEATS: &[Heat] = &[
    Heat { name: "one at a time", pace: Pace { batch: 1, outstanding: FULL }, racers: SINGLE },
    Heat { name: "batches of 32", pace: Pace { batch: 32, outstanding: FULL }, racers: BATCHED },
    Heat { name: "round trip", pace: Pace { batch: 1, outstanding: 1 }, racers: SINGLE },
];

const SINGLE: &[Racer] = &[
    racer("two rtrb rings", || {
        let (driver, device) = spsc::ends();
        Box::new(Pair { driver, device, requests: requests(&Arena::new()) })
    }),
    SPLIT,
    PACKED,
    racer("virtio-drivers + virtio-queue", || {
        let arena = Arena::new();
        let requests = requests(&arena);
        let (driver, setup) = rcore::Driver::new(&arena, &requests, Shape::ONE);
        Box::new(Pair { driver, device: rust_vmm::Popping::new(arena.mapped(), &setup), requests })
    }),
    racer("virtio-driver + virtio-queue", || {
        let arena = Arena::new();
        let (driver, setup) = libblkio::Driver::new(&arena, Features::empty());
        let device = rust_vmm::Popping::new(arena.mapped(), &setup);
        Box::new(Pair { driver, device, requests: requests(&arena) })
    }),
];

const BATCHED: &[Racer] = &[
    racer("two rtrb rings, in chunks", || {
        let (driver, device) = spsc::chunked_ends();
        Box::new(Pair { driver, device, requests: requests(&Arena::new()) })
    }),
    SPLIT,
    PACKED,
    racer("virtio-drivers + virtio-queue", || {
        let arena = Arena::new();
        let requests = requests(&arena);
        let (driver, setup) = rcore::Driver::new(&arena, &requests, Shape::ONE);
        Box::new(Pair { driver, device: rust_vmm::Iterating::new(arena.mapped(), &setup), requests })
    }),
    racer("virtio-driver + virtio-queue", || {
        let arena = Arena::new();
        let (driver, setup) = libblkio::Driver::new(&arena, Features::empty());
        let device = rust_vmm::Iterating::new(arena.mapped(), &setup);
        Box::new(Pair { driver, device, requests: requests(&arena) })
    }),
];

const SPLIT: Racer = racer("ring-core split", || {
    let arena = Arena::new();
    let setup = &arena.setup(Features::empty());
    let driver = Direct(ours::split_driver(arena.raw(), setup));
    Box::new(Pair { driver, device: ours::split_device(arena.raw(), setup), requests: requests(&arena) })
});

const PACKED: Racer = racer("ring-core packed", || {
    let arena = Arena::new();
    let setup = &arena.setup(Features::RING_PACKED);
    let driver = Direct(ours::packed_driver(arena.raw(), setup));
    Box::new(Pair { driver, device: ours::packed_device(arena.raw(), setup), requests: requests(&arena) })
});

const fn racer(name: &'static str, make: fn() -> Box<dyn Race>) -> Racer {
    Racer { name, make }
}

fn requests(arena: &Arena) -> Vec<Request> {
    Request::some(arena, Shape::ONE, QUEUE_SIZE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::can_race;

    #[test]
    fn everyone_passes_every_request_between_two_threads() {
        for heat in HEATS.iter().filter(|_| can_race()) {
            for racer in heat.racers {
                let count = 64 * usize::from(QUEUE_SIZE);
                let time = (racer.make)().race(count, heat.pace);
                println!("{} {} {} ns", heat.name, racer.name, time.as_nanos() / count as u128);
            }
        }
    }
}
