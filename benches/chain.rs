//! Times how fast a device gets at what a chain holds.
//!
//! - `payload`: 4 KiB copied from the readable to the writable part, each in one, four and sixteen
//!   segments.
//! - `indirect`: the device's end with chains of sixteen segments in indirect tables.

mod compare;
mod measure;

use criterion::{Criterion, criterion_group, criterion_main};
use rivals::Group;

fn payload(criterion: &mut Criterion) {
    compare::implementations(criterion, Group::Payload, 16);
}

fn indirect(criterion: &mut Criterion) {
    compare::implementations(criterion, Group::Indirect, 16);
}

criterion_group!(chain, payload, indirect);
criterion_main!(chain);
