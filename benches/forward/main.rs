//! Times the work of isolation-host.
//!
//! - `copy`: the copies between a guest and the isolated area, compared with `memcpy` of the same
//!   bytes.
//! - `request`: the other work for a request, compared with one queue between the same two ends.
//! - `policy`: the policies for bytes that requests leave in the isolated area, compared with the
//!   policies that zero nothing.
//! - `disk`: reads from qemu-storage-daemon through isolation-host, compared with direct reads.
//!   Both run at the same time and are measured in turns. This group needs the isolation-host
//!   program, which `cargo xtask bench` builds, and qemu-storage-daemon.

mod copy;
mod disk;
#[path = "../measure.rs"]
mod measure;
mod policy;
mod request;
mod rig;

use criterion::{criterion_group, criterion_main};

criterion_group!(forward, copy::copy, request::request, policy::policy, disk::disk);
criterion_main!(forward);
