//! The words of the memory that a program lends to a queue.

/// Eight bytes whose address is a multiple of eight on every processor.
///
/// [`RawMemory::from_mut`](super::RawMemory::from_mut) takes a slice of these words rather than of
/// `u64`, because some 32-bit processors align a `u64` to four bytes. x86 is one of them.
///
/// Exhaustive, because a word is its eight bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct AlignedWord(pub [u8; 8]);

impl AlignedWord {
    /// Eight zero bytes.
    pub const ZERO: Self = Self([0; 8]);
}

// A slice of words has no gaps.
const _: () = assert!(size_of::<AlignedWord>() == 8 && align_of::<AlignedWord>() == 8);
