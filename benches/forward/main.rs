//! How much isolation-host costs.
//!
//! - `copy`: its copies between a guest and the isolated area, against a plain copy of the same bytes.
//! - `request`: what it does for a request besides, against a queue between the same two ends.
//! - `disk`: qemu-storage-daemon through isolation-host, against the same without it. Both run all the time, and are
//!   measured in turns. It takes isolation-host's program, which `cargo xtask bench` builds, and qemu-storage-daemon.

mod copy;
mod disk;
#[path = "../measure.rs"]
mod measure;
mod request;
mod rig;

use criterion::{criterion_group, criterion_main};

criterion_group!(forward, copy::copy, request::request, disk::disk);
criterion_main!(forward);
