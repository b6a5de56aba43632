//! Ends that do as little as the format allows, so that what is measured is the other end.
//!
//! They trust everything, keep no records, know the requests beforehand and serve them in order. A stub driver
//! writes all descriptors when it is made, and later only what the device or the lap changed.

pub mod packed;
pub mod split;
