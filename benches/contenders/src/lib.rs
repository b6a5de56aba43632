//! ring-core and other implementations of virtqueues, made to do the same work.
//!
//! A contender is an implementation of [`DriverEnd`], of [`DeviceEnd`], or of both: one file each. Any two
//! that share a format make a [`Pair`], which passes bursts of requests back and forth on one thread.
//! Half a queue is measured against the other half's [stub], which does as little as the format allows.
//!
//! | file | what | ends |
//! |---|---|---|
//! | [`ours`] | ring-core | split and packed, driver and device |
//! | [`stub`] | as little as it takes | split and packed, driver and device |
//!
//! [`works`] is the list of what can be measured, by name.

pub mod arena;
pub mod ours;
pub mod pair;
pub mod request;
pub mod stub;
pub mod works;

pub use arena::Arena;
pub use pair::{DeviceEnd, DriverEnd, Pair, Tally, Work};
pub use request::{Request, Shape};

/// Descriptors of each queue.
pub const QUEUE_SIZE: u16 = 256;

/// Requests that are made available, served and taken back at a time.
pub const BURST: u16 = 64;
