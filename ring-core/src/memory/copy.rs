//! Copies between shared memory and bytes that only this program accesses.

// UNSAFETY: atomics behind pointers that the caller vouches for.
#![expect(unsafe_code)]

use core::sync::atomic::{AtomicU8, Ordering};

use super::word::Access as _;

/// Returns whether words may be loaded from `start` on.
fn is_aligned(start: *mut u8) -> bool {
    start.addr() % size_of::<u64>() == 0
}

/// Returns how many of `len` bytes lie before the first aligned word.
fn before_words(start: *mut u8, len: usize) -> usize {
    (start.addr().wrapping_neg() % size_of::<u64>()).min(len)
}

/// Copies shared bytes out, in words where whole words are aligned.
///
/// # Safety
///
/// The `into.len()` bytes at `start` are mapped and are accessed only through atomics.
#[inline]
pub(super) unsafe fn copy_out(start: *mut u8, into: &mut [u8]) {
    if is_aligned(start) {
        // SAFETY: the caller's promise, and `start` is aligned.
        unsafe { words_out(start, into) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { unaligned_out(start, into) };
    }
}

/// Copies shared bytes out: those before the first aligned word, then the rest.
///
/// # Safety
///
/// The same as for [`copy_out`].
#[inline(never)]
unsafe fn unaligned_out(start: *mut u8, into: &mut [u8]) {
    let (head, rest) = into.split_at_mut(before_words(start, into.len()));
    // SAFETY: the caller's range up to its first aligned word.
    unsafe { bytes_out(start, head) };
    // SAFETY: the rest of the caller's range, which is empty or starts with an aligned word.
    unsafe { words_out(start.wrapping_add(head.len()), rest) };
}

/// Copies shared bytes out, in words and then the remaining bytes.
///
/// # Safety
///
/// The same as for [`copy_out`], and `start` is aligned for a word unless there are no bytes.
unsafe fn words_out(start: *mut u8, into: &mut [u8]) {
    let (words, tail) = into.split_at_mut(into.len() - into.len() % 8);
    let end = start.wrapping_add(words.len());
    for (index, word) in words.chunks_exact_mut(8).enumerate() {
        // SAFETY: within the caller's range, and aligned because `start` is aligned.
        let value = unsafe { u64::read(start.wrapping_add(index * 8)) };
        word.copy_from_slice(&value.to_le_bytes());
    }
    // SAFETY: the rest of the caller's range.
    unsafe { bytes_out(end, tail) };
}

/// Copies shared bytes out, one by one.
///
/// # Safety
///
/// The same as for [`copy_out`].
unsafe fn bytes_out(start: *mut u8, into: &mut [u8]) {
    for (offset, byte) in into.iter_mut().enumerate() {
        // SAFETY: within the caller's range; bytes are always aligned.
        let shared = unsafe { AtomicU8::from_ptr(start.wrapping_add(offset)) };
        *byte = shared.load(Ordering::Relaxed);
    }
}

/// Copies `from` to shared memory: aligned words as words, all other bytes one by one.
///
/// # Safety
///
/// The `from.len()` bytes at `start` are mapped and are accessed only through atomics.
#[inline]
pub(super) unsafe fn copy_in(start: *mut u8, from: &[u8]) {
    if is_aligned(start) {
        // SAFETY: the caller's promise, and `start` is aligned.
        unsafe { words_in(start, from) };
    } else {
        // SAFETY: the caller's promise.
        unsafe { unaligned_in(start, from) };
    }
}

/// Copies bytes in: those before the first aligned word, then the rest.
///
/// # Safety
///
/// The same as for [`copy_in`].
#[inline(never)]
unsafe fn unaligned_in(start: *mut u8, from: &[u8]) {
    let (head, rest) = from.split_at(before_words(start, from.len()));
    // SAFETY: the caller's range up to its first aligned word.
    unsafe { bytes_in(start, head) };
    // SAFETY: the rest of the caller's range, which is empty or starts with an aligned word.
    unsafe { words_in(start.wrapping_add(head.len()), rest) };
}

/// Copies bytes in, in words and then the remaining bytes.
///
/// # Safety
///
/// The same as for [`copy_in`], and `start` is aligned for a word unless there are no bytes.
unsafe fn words_in(start: *mut u8, from: &[u8]) {
    let (words, tail) = from.split_at(from.len() - from.len() % 8);
    let end = start.wrapping_add(words.len());
    for (index, word) in words.chunks_exact(8).enumerate() {
        let mut value = [0; 8];
        value.copy_from_slice(word);
        // SAFETY: within the caller's range, and aligned because `start` is aligned.
        unsafe { u64::write(start.wrapping_add(index * 8), u64::from_le_bytes(value)) };
    }
    // SAFETY: the rest of the caller's range.
    unsafe { bytes_in(end, tail) };
}

/// Copies bytes in, one by one.
///
/// # Safety
///
/// The same as for [`copy_in`].
unsafe fn bytes_in(start: *mut u8, from: &[u8]) {
    for (offset, byte) in from.iter().enumerate() {
        // SAFETY: within the caller's range; bytes are always aligned.
        let shared = unsafe { AtomicU8::from_ptr(start.wrapping_add(offset)) };
        shared.store(*byte, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use crate::memory::{AlignedWord, Memory as _, RawMemory};

    #[test]
    fn bytes_of_any_alignment_and_length_are_copied_and_no_others() {
        for (offset, len) in (0..16).flat_map(|offset| (0..40).map(move |len| (offset, len))) {
            let mut words = [AlignedWord([u8::MAX; 8]); 8];
            let memory = RawMemory::from_mut(&mut words, 0);
            let sent: Vec<u8> = (1..).take(len).collect();
            memory.write_bytes(offset, &sent).unwrap();

            let mut received = std::vec![0; len];
            memory.read_bytes(offset, &mut received).unwrap();
            assert_eq!(received, sent, "{len} bytes at {offset}");

            let mut all = [0; 64];
            memory.read_bytes(0, &mut all).unwrap();
            let start = usize::try_from(offset).unwrap();
            all[start..start + len].fill(u8::MAX);
            assert_eq!(all, [u8::MAX; 64], "{len} bytes at {offset}");
        }
    }
}
