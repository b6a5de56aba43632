//! How fast a device gets at what a chain holds.
//!
//! - `payload`: 4 KiB copied from a chain to itself, each way in one, four and sixteen segments.
//! - `indirect`: the device's end of a ring, with chains of sixteen segments in the ring and in tables.

mod measure;

use std::hint::black_box;

use contenders::contest::{Contest, Entrant};
use contenders::works::Side;
use contenders::{BURST, Place, Shape, echo};
use criterion::{Criterion, criterion_group, criterion_main};
use measure::{Contender, Work, compare, timed};

fn payload(criterion: &mut Criterion) {
    for shape in echo::SHAPES {
        let name = format!("4 KiB in {}, out {}", shape.readable.len(), shape.writable.len());
        let requests = echo::REQUESTS.into();
        let work = Work { group: "payload", name: &name, requests, slice: 16, calibrator: None };
        let contender = |&echo::Entrant { name, make }: &echo::Entrant| burst_of(name, shape, make);
        compare(criterion, work, &echo::ENTRANTS.iter().map(contender).collect::<Vec<_>>());
    }
}

fn indirect(criterion: &mut Criterion) {
    const LENS: [u32; 8] = [64; 8];
    // A burst of such chains does not fit the ring but through tables.
    let shape = Shape { readable: &LENS, writable: &LENS, place: Place::Table };
    let contest = Contest { side: Side::Device, shape };
    let work = Work {
        group: "indirect",
        name: &shape.to_string(),
        requests: BURST.into(),
        slice: 16,
        calibrator: None,
    };
    let contender = |Entrant { name, make }| burst_of(name, shape, make);
    compare(criterion, work, &contest.entrants().into_iter().map(contender).collect::<Vec<_>>());
}

fn burst_of(name: &str, shape: Shape, make: fn(Shape) -> Box<dyn contenders::Work>) -> Contender {
    Contender {
        name: name.to_owned(),
        make: Box::new(move || {
            let mut work = make(shape);
            work.check();
            timed(move || {
                black_box(work.burst());
            })
        }),
    }
}

criterion_group!(chain, payload, indirect);
criterion_main!(chain);
