//! How fast a device gets at what a chain holds.
//!
//! - `payload`: 4 KiB through a reader and a writer, in one, four and sixteen segments each.
//! - `indirect`: the ring's part of a request whose descriptors are in a table.

mod measure;

use contenders::payload;
use criterion::{Criterion, criterion_group, criterion_main};
use measure::{Contender, Work, compare, timed};

fn main_group(_: &mut Criterion) {}
criterion_group!(chain, main_group);
criterion_main!(chain);
