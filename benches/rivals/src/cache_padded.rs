//! Values that share no cache line with others.

/// A value on cache lines of its own.
///
/// The alignment is two lines of 64 bytes, which some processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
pub struct CachePadded<T>(pub T);
