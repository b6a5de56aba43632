//! Ends that do as little as the format allows, so that what is measured is the other end.
//!
//! They trust everything, keep no records, know the requests beforehand and serve them in order. Both ends are
//! on one thread, so no access has to be ordered.

pub mod packed;
pub mod split;

use crate::QUEUE_SIZE;

/// Descriptors of the queue, all of which the stubs know.
const SIZE: usize = QUEUE_SIZE as usize;
