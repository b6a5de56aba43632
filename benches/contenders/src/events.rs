//! Single requests, and what it costs to decide about notifications.

use std::hint;
use std::sync::atomic::{self, AtomicU16, Ordering};

use ring_core::Features;

use crate::ours::{self, Direct};
use crate::{Arena, DeviceEnd, DriverEnd, Request, Shape, Tally, rcore, rust_vmm, spsc};

/// Whoever passes single requests.
#[derive(Clone, Copy, Debug)]
pub struct Entrant {
    /// What it is called in reports.
    pub name: &'static str,
    /// Sets it up, checks it, and returns what passes one request there and back.
    pub make: fn() -> Box<dyn FnMut()>,
}

/// What both ends do about notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Events {
    /// Nothing: both poll, and both know it.
    Unasked,
    /// Both poll. The driver decides whether to notify.
    Driver,
    /// Both poll. The device decides whether to notify.
    Device,
    /// Both poll. Both decide.
    Both,
    /// The device asks to be notified before each request, and the driver decides.
    DeviceSleeps,
}

/// One request there and back, with both decisions about notifications, while both ends poll.
pub const SINGLE: &[Entrant] = &[
    entrant("ring-core split", || checked(split(), Events::Both)),
    entrant("ring-core packed", || checked(packed(), Events::Both)),
    entrant("virtio-drivers + virtio-queue", || {
        let arena = Arena::new();
        let requests = Request::some(&arena, Shape::ONE, 1);
        let (driver, setup) = rcore::Driver::new(&arena, &requests, Shape::ONE);
        // This driver notifies when it need not, and the other way round, so that is not checked.
        Single::new(driver, rust_vmm::Popping::new(arena.mapped(), &setup), requests).passing(Events::Both)
    }),
    entrant("two rtrb rings (no virtqueue)", || {
        let (driver, device) = spsc::ends();
        checked(Single::new(driver, device, Request::some(&Arena::new(), Shape::ONE, 1)), Events::Both)
    }),
];

/// What is compared with the first in each list.
pub const NOTIFY: &[(&str, &[Entrant])] = &[
    (
        "split",
        &[
            entrant("nobody decides", || checked(split(), Events::Unasked)),
            entrant("driver decides, none due", || checked(split(), Events::Driver)),
            entrant("device decides, none due", || checked(split(), Events::Device)),
            entrant("device sleeps each time", || checked(split(), Events::DeviceSleeps)),
            entrant(FENCE, fence_alone),
        ],
    ),
    (
        "packed",
        &[
            entrant("nobody decides", || checked(packed(), Events::Unasked)),
            entrant("driver decides, none due", || checked(packed(), Events::Driver)),
            entrant("device decides, none due", || checked(packed(), Events::Device)),
            entrant("device sleeps each time", || checked(packed(), Events::DeviceSleeps)),
            entrant(FENCE, fence_alone),
        ],
    ),
];

/// The part of a decision that no program can do without: a full fence between a store and a load.
const FENCE: &str = "no queue: a store, a fence, a load";

fn fence_alone() -> Box<dyn FnMut()> {
    let (index, event) = (AtomicU16::new(0), AtomicU16::new(0));
    Box::new(move || {
        index.store(hint::black_box(1), Ordering::Release);
        atomic::fence(Ordering::SeqCst);
        hint::black_box(event.load(Ordering::Relaxed));
    })
}

const fn entrant(name: &'static str, make: fn() -> Box<dyn FnMut()>) -> Entrant {
    Entrant { name, make }
}

fn split() -> Single<impl DriverEnd, impl DeviceEnd> {
    let arena = Arena::new();
    let setup = &arena.setup(Features::empty());
    let driver = Direct(ours::split_driver(arena.raw(), setup));
    Single::new(driver, ours::split_device(arena.raw(), setup), Request::some(&arena, Shape::ONE, 1))
}

fn packed() -> Single<impl DriverEnd, impl DeviceEnd> {
    let arena = Arena::new();
    let setup = &arena.setup(Features::RING_PACKED);
    let driver = Direct(ours::packed_driver(arena.raw(), setup));
    Single::new(driver, ours::packed_device(arena.raw(), setup), Request::some(&arena, Shape::ONE, 1))
}

/// How often the free-running indices wrap around in a check.
const LAPS: u64 = 2;

/// Makes sure that notifications are decided upon rightly, and returns what passes one request.
fn checked(
    mut single: Single<impl DriverEnd + 'static, impl DeviceEnd + 'static>,
    events: Events,
) -> Box<dyn FnMut()> {
    let expected = Tally::of(&single.requests);
    // What was asked for at set-up counts once.
    single.pass(Events::Both);
    let (mut kicks, mut calls) = (0, 0);
    for _ in 0..LAPS << 16 {
        let passed = single.pass(events);
        kicks += passed.kicks;
        calls += passed.calls;
        assert_eq!(Tally { kicks: 0, calls: 0, ..passed }, expected, "{events:?}");
    }
    if events == Events::DeviceSleeps {
        assert_eq!((kicks, calls), (LAPS << 16, 0), "one notification for each sleep");
    } else {
        // An event index that nobody renews comes around again after 2^16 requests.
        assert!(kicks <= LAPS && calls <= LAPS, "{kicks} and {calls} notifications of ends that poll");
    }
    single.passing(events)
}

/// Both ends, and one request.
struct Single<D, V> {
    driver: D,
    device: V,
    requests: Vec<Request>,
}

impl<D: DriverEnd + 'static, V: DeviceEnd + 'static> Single<D, V> {
    const fn new(driver: D, device: V, requests: Vec<Request>) -> Self {
        Self { driver, device, requests }
    }

    #[inline]
    fn pass(&mut self, events: Events) -> Tally {
        let mut tally = Tally::default();
        if events == Events::DeviceSleeps {
            assert!(self.device.arm(), "there is a request before it was made");
        }
        for request in &self.requests {
            self.driver.add(request);
        }
        self.driver.publish();
        if matches!(events, Events::Driver | Events::Both | Events::DeviceSleeps) {
            tally.kicks += u64::from(self.driver.announce());
        }
        self.device.serve(1, &mut tally);
        if matches!(events, Events::Device | Events::Both) {
            tally.calls += u64::from(self.device.announce());
        }
        while let Some((cookie, written)) = self.driver.reap() {
            tally.reap(cookie, written);
        }
        tally
    }

    fn passing(mut self, events: Events) -> Box<dyn FnMut()> {
        Box::new(move || {
            hint::black_box(self.pass(events));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_notified_but_who_asked_for_it() {
        for entrant in NOTIFY.iter().flat_map(|(_, entrants)| *entrants).chain(SINGLE) {
            println!("{}", entrant.name);
            (entrant.make)()();
        }
    }
}
