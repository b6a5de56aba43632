//! What an end remembers of each descriptor or buffer id, in storage that the caller lends.

pub(crate) mod device;
pub(crate) mod driver;
mod held;
mod span;
