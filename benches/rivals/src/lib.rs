//! ring-core and its rivals: implementations of virtqueues that do the same work under the same
//! checks.
//!
//! A [`Case`] says what is measured. An [`Implementation`] sets up both ends of a queue for each
//! case that it supports. [`suite`] checks an implementation in a case and times it. The
//! implementations know nothing of each other, and the suite knows none of them, so a program can
//! link a single one.
//!
//! | file | implementation | ends |
//! |---|---|---|
//! | [`ring_core`] | ring-core | split and packed, driver and device |
//! | [`virtio_queue`] | rust-vmm's `virtio-queue` | split device |
//! | [`virtio_drivers`] | rcore-os's `virtio-drivers` | split driver |
//! | [`virtio_driver`] | libblkio's `virtio-driver` | split and packed driver |
//! | [`rtrb`] | two `rtrb` rings, which are not virtqueues | both |
//! | [`stub`] | the least work that the format allows | split and packed, driver and device |
//! | [`empty`] | an empty pair: the cost of the suite itself | both |

pub mod arena;
pub mod cache_padded;
pub mod case;
pub mod check;
pub mod empty;
pub mod ends;
pub mod fixture;
pub mod implementation;
pub mod pair;
pub mod payload;
pub mod request;
pub mod ring_core;
pub mod rtrb;
pub mod stub;
pub mod suite;
pub mod two_threads;
pub mod virtio_driver;
pub mod virtio_drivers;
pub mod virtio_queue;

pub use case::{Case, Group};
pub use implementation::Implementation;

/// All implementations, in the order of reports.
pub const IMPLEMENTATIONS: &[&dyn Implementation] = &[
    &ring_core::SPLIT,
    &ring_core::PACKED,
    &ring_core::SPLIT_NEGOTIATED,
    &ring_core::PACKED_NEGOTIATED,
    &ring_core::SPLIT_ON_VM_MEMORY,
    &ring_core::PACKED_ON_VM_MEMORY,
    &virtio_queue::POPPING,
    &virtio_queue::ITERATING,
    &virtio_drivers::ALONE,
    &virtio_drivers::WITH_VIRTIO_QUEUE,
    &virtio_driver::SPLIT,
    &virtio_driver::PACKED,
    &virtio_driver::WITH_VIRTIO_QUEUE,
    &rtrb::TWO_RINGS,
    &stub::SPLIT,
    &stub::PACKED,
    &empty::EMPTY_PAIR,
];
