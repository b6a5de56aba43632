//! Copies of memory that other processes write at the same time.

// UNSAFETY: reads and writes through pointers, by instructions and by atomics.
#![expect(unsafe_code)]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// The length from which the processor's string instructions are faster than a loop.
#[cfg(target_arch = "x86_64")]
const STRING_FROM: usize = 128;

/// Copies between shared ranges.
///
/// Other processes may write to both ranges at the same time. The language's own copies are not
/// defined in this case. A copy by instructions or by atomics is defined, and moves whatever bytes
/// it finds.
///
/// # Safety
///
/// The `len` bytes at `from` and at `to` are mapped, and those at `to` are writable. This process
/// accesses them through atomics and opaque copies only.
#[inline]
pub(super) unsafe fn copy_shared(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if len >= STRING_FROM {
        // SAFETY: moves `len` bytes between the caller's ranges, and nothing else. The direction
        // flag is clear on entry to any asm block.
        unsafe {
            core::arch::asm!(
                "rep movsb",
                inout("rcx") len => _, inout("rsi") from => _, inout("rdi") to => _,
                options(nostack, preserves_flags)
            );
        }
        return;
    }
    #[cfg(target_arch = "x86_64")]
    if let Some(last) = len.checked_sub(vector::SIZE) {
        // Packets are short and unaligned. The last move may repeat a part of the move before it.
        let mut at = 0;
        while at < last {
            // SAFETY: ends before the last move does, so it is inside the caller's ranges.
            unsafe { vector::copy(from.wrapping_add(at), to.wrapping_add(at)) };
            at += vector::SIZE;
        }
        // SAFETY: ends where the caller's ranges end.
        unsafe { vector::copy(from.wrapping_add(last), to.wrapping_add(last)) };
        return;
    }
    // SAFETY: the caller's ranges.
    unsafe { copy_with_atomics(from, to, len) };
}

/// Copies word by word if both ranges are aligned, and byte by byte otherwise.
///
/// # Safety
///
/// As for [`copy_shared`].
#[inline]
unsafe fn copy_with_atomics(from: *const u8, to: *mut u8, len: usize) {
    let mut at = 0;
    if from.addr() % 8 == 0 && to.addr() % 8 == 0 {
        while len - at >= 8 {
            // SAFETY: eight bytes inside the caller's range, aligned as `from` is.
            let word = unsafe { AtomicU64::from_ptr(from.wrapping_add(at).cast_mut().cast()) };
            // SAFETY: eight bytes inside the caller's range, aligned as `to` is.
            let target = unsafe { AtomicU64::from_ptr(to.wrapping_add(at).cast()) };
            target.store(word.load(Ordering::Relaxed), Ordering::Relaxed);
            at += 8;
        }
    }
    for at in at..len {
        // SAFETY: inside the caller's range; bytes are always aligned.
        let byte = unsafe { AtomicU8::from_ptr(from.wrapping_add(at).cast_mut()) };
        // SAFETY: as above.
        let target = unsafe { AtomicU8::from_ptr(to.wrapping_add(at)) };
        target.store(byte.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// Prefetches two cache lines at `from`, the size of a short packet.
#[inline]
pub(super) fn prefetch(from: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect on memory, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) };
        // SAFETY: as above.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(64).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = from;
}

/// Zeroes a shared range.
///
/// # Safety
///
/// The promise of [`copy_shared`] for the target.
#[inline]
pub(super) unsafe fn zero_shared(to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    if len >= STRING_FROM {
        // SAFETY: writes the `len` bytes of the caller's range, and nothing else.
        unsafe {
            core::arch::asm!(
                "rep stosb",
                inout("rcx") len => _, inout("rdi") to => _, in("al") 0u8,
                options(nostack, preserves_flags)
            );
        }
        return;
    }
    for at in 0..len {
        // SAFETY: inside the caller's range; bytes are always aligned.
        let byte = unsafe { AtomicU8::from_ptr(to.wrapping_add(at)) };
        byte.store(0, Ordering::Relaxed);
    }
}

/// The largest unaligned move that every x86-64 processor supports.
#[cfg(target_arch = "x86_64")]
mod vector {
    /// The size of a move in bytes.
    pub(super) const SIZE: usize = 16;

    /// Copies `SIZE` bytes.
    ///
    /// # Safety
    ///
    /// As for [`copy_shared`](super::copy_shared).
    #[inline]
    pub(super) unsafe fn copy(from: *const u8, to: *mut u8) {
        // SAFETY: moves `SIZE` bytes between the caller's ranges, and nothing else.
        unsafe {
            core::arch::asm!(
                "movups {bytes}, [{from}]",
                "movups [{to}], {bytes}",
                bytes = out(xmm_reg) _, from = in(reg) from, to = in(reg) to,
                options(nostack, preserves_flags)
            );
        }
    }
}
