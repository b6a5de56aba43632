//! The words that the two sides exchange, little-endian in memory and native here.

// UNSAFETY: atomics behind pointers that the caller vouches for.
#![expect(unsafe_code)]

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

pub(super) use access::Access;

/// A word that the two sides can exchange in one access: `u16`, `u32` or `u64`.
pub trait Word: Access + Copy + Default + Into<u64> + TryFrom<u64> + core::fmt::Debug {}

impl Word for u16 {}
impl Word for u32 {}
impl Word for u64 {}

mod access {
    use super::{AtomicU16, AtomicU32, Ordering};

    /// How a word of this width is reached through a pointer; also seals [`Word`](super::Word).
    pub trait Access: Sized {
        /// Position among the widths: 0 for two bytes, 1 for four, 2 for eight.
        const WIDTH: usize;

        /// # Safety
        ///
        /// `at` is valid and aligned for `Self`, and this program reaches the bytes through atomics only.
        unsafe fn load(at: *mut u8, order: Ordering) -> Self;

        /// # Safety
        ///
        /// As for [`load`](Self::load).
        unsafe fn store(at: *mut u8, value: Self, order: Ordering);
    }

    impl Access for u16 {
        const WIDTH: usize = 0;

        #[inline]
        unsafe fn load(at: *mut u8, order: Ordering) -> Self {
            // SAFETY: the caller's promise.
            let word = unsafe { AtomicU16::from_ptr(at.cast()) };
            Self::from_le(word.load(order))
        }

        #[inline]
        unsafe fn store(at: *mut u8, value: Self, order: Ordering) {
            // SAFETY: the caller's promise.
            let word = unsafe { AtomicU16::from_ptr(at.cast()) };
            word.store(value.to_le(), order);
        }
    }

    impl Access for u32 {
        const WIDTH: usize = 1;

        #[inline]
        unsafe fn load(at: *mut u8, order: Ordering) -> Self {
            // SAFETY: the caller's promise.
            let word = unsafe { AtomicU32::from_ptr(at.cast()) };
            Self::from_le(word.load(order))
        }

        #[inline]
        unsafe fn store(at: *mut u8, value: Self, order: Ordering) {
            // SAFETY: the caller's promise.
            let word = unsafe { AtomicU32::from_ptr(at.cast()) };
            word.store(value.to_le(), order);
        }
    }

    #[cfg(target_has_atomic = "64")]
    impl Access for u64 {
        const WIDTH: usize = 2;

        #[inline]
        unsafe fn load(at: *mut u8, order: Ordering) -> Self {
            // SAFETY: the caller's promise.
            let word = unsafe { core::sync::atomic::AtomicU64::from_ptr(at.cast()) };
            Self::from_le(word.load(order))
        }

        #[inline]
        unsafe fn store(at: *mut u8, value: Self, order: Ordering) {
            // SAFETY: the caller's promise.
            let word = unsafe { core::sync::atomic::AtomicU64::from_ptr(at.cast()) };
            word.store(value.to_le(), order);
        }
    }

    /// Two halves, of which the upper one publishes: see the contract in [`memory`](crate::memory).
    #[cfg(not(target_has_atomic = "64"))]
    impl Access for u64 {
        const WIDTH: usize = 2;

        #[inline]
        unsafe fn load(at: *mut u8, order: Ordering) -> Self {
            // SAFETY: the caller's promise covers both halves.
            let high = unsafe { u32::load(at.wrapping_add(4), order) };
            // SAFETY: as above.
            let low = unsafe { u32::load(at, Ordering::Relaxed) };
            Self::from(high) << 32 | Self::from(low)
        }

        #[inline]
        unsafe fn store(at: *mut u8, value: Self, order: Ordering) {
            // SAFETY: the caller's promise covers both halves.
            unsafe { u32::store(at, value as u32, Ordering::Relaxed) };
            // SAFETY: as above.
            unsafe { u32::store(at.wrapping_add(4), (value >> 32) as u32, order) };
        }
    }
}
