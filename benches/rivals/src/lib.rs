//! ring-core and its rivals: implementations of virtqueues that do the same work under the same
//! checks.
//!
//! A [`Case`] says what is measured, and [`Group`] lists all cases. An [`Implementation`] sets up
//! both ends of a queue for each case that it supports. Each implementation has a [program] of its
//! own in `src/bin`, so that the code of one implementation does not change how another
//! implementation is compiled. [`contenders`] lists the programs. The suite does not depend on any
//! implementation.
//!
//! | file | implementation | ends |
//! |---|---|---|
//! | [`ring_core`] | ring-core | split and packed, driver and device |
//! | [`virtio_queue`] | rust-vmm's `virtio-queue` | split device |
//! | [`virtio_drivers`] | rcore-os's `virtio-drivers` | split driver |
//! | [`virtio_driver`] | libblkio's `virtio-driver` | split and packed driver |
//! | [`rtrb`] | two `rtrb` rings, which are not virtqueues | both |
//! | [`stub`] | the least work that the format allows | split and packed, driver and device |
//! | [`lines`] | the accesses to shared memory that the format needs | split and packed, both |
//! | [`empty`] | an empty pair: the cost of the suite itself | both |

pub mod arena;
pub mod cache_padded;
pub mod case;
pub mod check;
pub mod contenders;
pub mod empty;
pub mod ends;
pub mod fixture;
pub mod group;
pub mod implementation;
pub mod lines;
pub mod pair;
pub mod payload;
pub mod processors;
pub mod program;
pub mod request;
pub mod ring_core;
pub mod rtrb;
pub mod shape;
pub mod stub;
pub mod tally;
pub mod two_threads;
pub mod virtio_driver;
pub mod virtio_drivers;
pub mod virtio_queue;

pub use case::Case;
pub use group::Group;
pub use implementation::Implementation;
