//! ring-core and other implementations of virtqueues, made to do the same work.
//!
//! A contender is an implementation of [`DriverEnd`], of [`DeviceEnd`], or of both: one file each. Any two
//! that share a format make a [`Pair`], which passes bursts of requests back and forth on one thread.
//! Half a queue is measured against the other half's [stub], which does as little as the format allows.
//!
//! | file | what | ends |
//! |---|---|---|
//! | [`ours`] | ring-core | split and packed, driver and device |
//! | [`rust_vmm`] | `virtio-queue` | split device |
//! | [`rcore`] | `virtio-drivers` | split driver |
//! | [`libblkio`] | `virtio-driver` | split and packed driver |
//! | [`spsc`] | two `rtrb` rings, no virtqueue at all | both |
//! | [`stub`] | as little as it takes | split and packed, driver and device |
//!
//! [`works`] is the list of what can be measured, by name.

pub mod arena;
pub mod contest;
pub mod echo;
pub mod events;
pub mod heats;
pub mod libblkio;
pub mod ours;
pub mod pair;
pub mod race;
pub mod rcore;
pub mod request;
pub mod rust_vmm;
pub mod spsc;
pub mod stub;
pub mod works;

pub use arena::Arena;
pub use pair::{DeviceEnd, DriverEnd, Pair, Tally, Work};
pub use request::{Place, Request, Shape};

/// Descriptors of each queue.
pub const QUEUE_SIZE: u16 = 256;

/// Requests that are made available, served and taken back at a time.
pub const BURST: u16 = 64;
