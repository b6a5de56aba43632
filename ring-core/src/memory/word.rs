//! Words in shared memory, and how each width is accessed through a pointer.

// UNSAFETY: reads and writes through pointers that the caller has resolved.
#![expect(unsafe_code)]

use core::fmt::Debug;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use super::Barriers;

/// A word that the two sides can exchange in one access: `u16`, `u32` or `u64`.
pub trait Word: Access + Copy + Default + Into<u64> + TryFrom<u64> + Debug {}

impl Word for u16 {}
impl Word for u32 {}
impl Word for u64 {}

/// How a word of this width is accessed through a pointer. Also seals [`Word`].
pub trait Access: Sized {
    /// The index among the widths: 0 for two bytes, 1 for four, 2 for eight.
    const WIDTH: usize;

    /// Reads the word, with no ordering.
    ///
    /// # Safety
    ///
    /// `at` is valid and aligned for `Self`, and this program accesses the bytes only through
    /// atomics.
    unsafe fn read(at: *mut u8) -> Self;

    /// Writes the word, with no ordering.
    ///
    /// # Safety
    ///
    /// The same as for [`read`](Self::read).
    unsafe fn write(at: *mut u8, value: Self);

    /// Reads the word with Acquire: the accesses that follow are not performed before the read.
    ///
    /// # Safety
    ///
    /// The same as for [`read`](Self::read).
    unsafe fn acquire(at: *mut u8, barriers: impl Barriers) -> Self;

    /// Writes the word with Release: the accesses that precede are performed before the write.
    ///
    /// # Safety
    ///
    /// The same as for [`read`](Self::read).
    unsafe fn release(at: *mut u8, value: Self, barriers: impl Barriers);
}

/// Implements [`Access`] for a width for which the target has atomics.
macro_rules! accessed_as {
    ($atomic:ty, $word:ty, $width:literal) => {
        impl Access for $word {
            const WIDTH: usize = $width;

            #[inline]
            unsafe fn read(at: *mut u8) -> Self {
                // SAFETY: the caller's promise.
                let word = unsafe { <$atomic>::from_ptr(at.cast()) };
                Self::from_le(word.load(Ordering::Relaxed))
            }

            #[inline]
            unsafe fn write(at: *mut u8, value: Self) {
                // SAFETY: the caller's promise.
                let word = unsafe { <$atomic>::from_ptr(at.cast()) };
                word.store(value.to_le(), Ordering::Relaxed);
            }

            #[inline]
            unsafe fn acquire(at: *mut u8, barriers: impl Barriers) -> Self {
                // SAFETY: the caller's promise.
                let word = unsafe { <$atomic>::from_ptr(at.cast()) };
                let value = Self::from_le(word.load(Ordering::Acquire));
                barriers.acquire();
                value
            }

            #[inline]
            unsafe fn release(at: *mut u8, value: Self, barriers: impl Barriers) {
                // SAFETY: the caller's promise.
                let word = unsafe { <$atomic>::from_ptr(at.cast()) };
                barriers.release();
                word.store(value.to_le(), Ordering::Release);
            }
        }
    };
}

accessed_as!(AtomicU16, u16, 0);
accessed_as!(AtomicU32, u32, 1);
#[cfg(target_has_atomic = "64")]
accessed_as!(core::sync::atomic::AtomicU64, u64, 2);

#[cfg(not(target_has_atomic = "64"))]
impl Access for u64 {
    const WIDTH: usize = 2;

    #[inline]
    unsafe fn read(at: *mut u8) -> Self {
        // SAFETY: the caller's promise, passed on.
        unsafe { halves::read(at) }
    }

    #[inline]
    unsafe fn write(at: *mut u8, value: Self) {
        // SAFETY: the caller's promise, passed on.
        unsafe { halves::write(at, value) }
    }

    #[inline]
    unsafe fn acquire(at: *mut u8, barriers: impl Barriers) -> Self {
        // SAFETY: the caller's promise, passed on.
        unsafe { halves::acquire(at, barriers) }
    }

    #[inline]
    unsafe fn release(at: *mut u8, value: Self, barriers: impl Barriers) {
        // SAFETY: the caller's promise, passed on.
        unsafe { halves::release(at, value, barriers) }
    }
}

/// 64-bit words as two halves. The upper half publishes the word: see the contract in
/// [`memory`](super).
///
/// The caller's promise, which [`Access`] states, covers both halves.
#[cfg(any(test, not(target_has_atomic = "64")))]
mod halves {
    use super::{Access as _, Barriers};

    const UPPER: usize = 4;

    pub(super) unsafe fn read(at: *mut u8) -> u64 {
        // SAFETY: the caller's promise.
        let upper = unsafe { u32::read(at.wrapping_add(UPPER)) };
        // SAFETY: the caller's promise.
        join(upper, unsafe { u32::read(at) })
    }

    pub(super) unsafe fn write(at: *mut u8, value: u64) {
        let (lower, upper) = split(value);
        // SAFETY: the caller's promise.
        unsafe { u32::write(at, lower) };
        // SAFETY: the caller's promise.
        unsafe { u32::write(at.wrapping_add(UPPER), upper) };
    }

    pub(super) unsafe fn acquire(at: *mut u8, barriers: impl Barriers) -> u64 {
        // SAFETY: the caller's promise.
        let upper = unsafe { u32::acquire(at.wrapping_add(UPPER), barriers) };
        // SAFETY: the caller's promise.
        join(upper, unsafe { u32::read(at) })
    }

    pub(super) unsafe fn release(at: *mut u8, value: u64, barriers: impl Barriers) {
        let (lower, upper) = split(value);
        // SAFETY: the caller's promise.
        unsafe { u32::write(at, lower) };
        // SAFETY: the caller's promise.
        unsafe { u32::release(at.wrapping_add(UPPER), upper, barriers) };
    }

    fn join(upper: u32, lower: u32) -> u64 {
        u64::from(upper) << 32 | u64::from(lower)
    }

    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    const fn split(value: u64) -> (u32, u32) {
        (value as u32, (value >> 32) as u32)
    }
}

#[cfg(test)]
mod tests {
    use core::ptr;

    use super::*;

    /// A 64-bit word of shared memory in halves, the lower half first. The word is not an
    /// `AtomicU64`, because processors that need the halves have no `AtomicU64`.
    type Halves = [AtomicU32; 2];

    // A word for each test, because tests run at the same time.
    static ACQUIRED: Halves = [const { AtomicU32::new(0) }; 2];
    static RELEASED: Halves = [const { AtomicU32::new(0) }; 2];

    fn at(word: &'static Halves) -> *mut u8 {
        ptr::from_ref(word).cast_mut().cast()
    }

    /// The bytes of a word, in the order in which they lie in memory.
    fn bytes(word: &Halves) -> [[u8; 4]; 2] {
        [0, 1].map(|half| word[half].load(Ordering::Relaxed).to_ne_bytes())
    }

    /// The other side, which changes or reads the word at a barrier.
    #[derive(Clone, Copy, Debug)]
    struct OtherSide;

    impl Barriers for OtherSide {
        fn acquire(self) {
            ACQUIRED[0].store(u32::from_ne_bytes([1, 2, 3, 4]), Ordering::Relaxed);
        }

        fn release(self) {
            assert_eq!(bytes(&RELEASED), [[1, 2, 3, 4], [0; 4]]);
        }

        fn full(self) {}
    }

    #[test]
    fn a_word_in_halves_is_the_same_word() {
        static WORD: Halves = [const { AtomicU32::new(0) }; 2];
        // SAFETY: the word is a static and made of atomics.
        unsafe { halves::write(at(&WORD), 0x0807_0605_0403_0201) };
        assert_eq!(bytes(&WORD), [[1, 2, 3, 4], [5, 6, 7, 8]]);
        // SAFETY: as above.
        assert_eq!(unsafe { halves::read(at(&WORD)) }, 0x0807_0605_0403_0201);
    }

    #[test]
    fn the_lower_half_is_read_behind_the_barrier_that_the_upper_half_has() {
        ACQUIRED[0].store(u32::MAX, Ordering::Relaxed);
        ACQUIRED[1].store(u32::from_ne_bytes([5, 6, 7, 8]), Ordering::Relaxed);
        // SAFETY: the word is a static and made of atomics.
        let word = unsafe { halves::acquire(at(&ACQUIRED), OtherSide) };
        assert_eq!(word, 0x0807_0605_0403_0201);
    }

    #[test]
    fn the_lower_half_is_written_before_the_barrier_that_the_upper_half_has() {
        // SAFETY: the word is a static and made of atomics.
        unsafe { halves::release(at(&RELEASED), 0x0807_0605_0403_0201, OtherSide) };
        assert_eq!(bytes(&RELEASED), [[1, 2, 3, 4], [5, 6, 7, 8]]);
    }
}
