//! The functions that compiled Rust expects on every platform, and that a C library would provide.

// UNSAFETY: C's memory functions have C's contracts, which the compiler keeps when it calls them.

/// C's `memcpy`.
///
/// # Safety
/// `from` is valid for reads and `to` for writes of `len` bytes, and they do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    for i in 0..len {
        // SAFETY: `i` is less than `len`, for which the caller vouches.
        unsafe { *to.add(i) = *from.add(i) };
    }
    to
}

/// C's `memset`.
///
/// # Safety
/// `to` is valid for writes of `len` bytes.
#[unsafe(no_mangle)]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "C says so")]
unsafe extern "C" fn memset(to: *mut u8, value: i32, len: usize) -> *mut u8 {
    for i in 0..len {
        // SAFETY: `i` is less than `len`, for which the caller vouches.
        unsafe { *to.add(i) = value as u8 };
    }
    to
}
