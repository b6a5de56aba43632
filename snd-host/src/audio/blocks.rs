//! A queue of audio that is filled in place and emptied without a copy.

use std::collections::VecDeque;

use bytes::BytesMut;

/// The number of blocks for a second of audio. A piece of audio that is in use keeps the memory of
/// its whole block.
pub(crate) const BLOCKS_PER_SECOND: u32 = 20;

/// Whole frames in blocks of memory.
///
/// Frames are read from their origin into a block, and taken out as pieces that share the memory of
/// the block. No piece extends over two blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    blocks: VecDeque<BytesMut>,
    /// Number of bytes in `blocks`.
    len: usize,
    frame_bytes: usize,
    /// The size of a block.
    block_bytes: usize,
}

impl Blocks {
    /// Creates a queue for frames of `frame_bytes` bytes, `rate` a second.
    pub(super) const fn new(frame_bytes: u32, rate: u32) -> Self {
        let block_bytes = rate / BLOCKS_PER_SECOND * frame_bytes;
        // GStreamer needs a processor of at least 32 bits.
        let (frame_bytes, block_bytes) = (frame_bytes as usize, block_bytes as usize);
        Self { blocks: VecDeque::new(), len: 0, frame_bytes, block_bytes }
    }

    /// Returns the number of bytes in the queue.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends whole frames of `bytes` bytes, which `read` fills in part by part. Appends nothing
    /// and returns false if `read` does.
    pub(super) fn append(&mut self, bytes: usize, mut read: impl FnMut(&mut [u8]) -> bool) -> bool {
        let (before, end) = (self.len, self.len + bytes);
        while self.len < end {
            let left = end - self.len;
            let block = self.last_with_room();
            let start = block.len();
            block.resize(block.capacity().min(start + left), 0);
            let part = &mut block[start..];
            let (len, ok) = (part.len(), read(part));
            self.len += len;
            if !ok {
                self.truncate(before);
                return false;
            }
        }
        true
    }

    /// Returns the last block, or a new block if the last one is full.
    fn last_with_room(&mut self) -> &mut BytesMut {
        let is_full = |block: &BytesMut| block.capacity() - block.len() < self.frame_bytes;
        if self.blocks.back().is_none_or(is_full) {
            self.blocks.push_back(BytesMut::with_capacity(self.block_bytes));
        }
        let last = self.blocks.len() - 1;
        &mut self.blocks[last]
    }

    /// Removes the newest frames, so that at most `len` bytes are left.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.len > len
            && let Some(last) = self.blocks.back_mut()
        {
            let kept = last.len().saturating_sub(self.len - len);
            self.len -= last.len() - kept;
            last.truncate(kept);
            if kept == 0 {
                self.blocks.pop_back();
            }
        }
    }

    /// Takes a piece of whole frames out, of at most `bytes` bytes.
    pub(super) fn pull(&mut self, bytes: usize) -> Option<BytesMut> {
        let block = self.blocks.front_mut()?;
        let bytes = bytes.min(block.len());
        let piece = block.split_to(bytes - bytes % self.frame_bytes);
        if block.is_empty() && block.capacity() < self.frame_bytes {
            self.blocks.pop_front();
        }
        self.len -= piece.len();
        Some(piece).filter(|piece| !piece.is_empty())
    }

    /// Returns a copy of the first bytes, at most `bytes` of them.
    pub(super) fn head(&self, bytes: usize) -> Vec<u8> {
        self.blocks.iter().flatten().take(bytes).copied().collect()
    }

    /// Returns all frames.
    pub(super) fn frames_mut(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.blocks.iter_mut().flat_map(|block| block.chunks_exact_mut(self.frame_bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Blocks of 12 bytes for frames of 4 bytes.
    fn blocks() -> Blocks {
        Blocks::new(4, 3 * BLOCKS_PER_SECOND)
    }

    /// Appends `bytes` bytes that count from `next`.
    fn append(blocks: &mut Blocks, next: &mut u8, bytes: usize, fail_at: Option<usize>) -> bool {
        let (start, mut parts) = (*next, 0);
        let ok = blocks.append(bytes, |part| {
            part.iter_mut().for_each(|byte| (*byte, *next) = (*next, next.wrapping_add(1)));
            parts += 1;
            Some(parts) != fail_at
        });
        if !ok {
            *next = start;
        }
        ok
    }

    proptest! {
        #[test]
        fn frames_come_out_once_and_in_order(
            steps in prop::collection::vec((0usize..9, 0usize..40, prop::option::of(1usize..3)), 0..50)
        ) {
            let (mut blocks, mut next, mut expected, mut len) = (blocks(), 0u8, 0u8, 0);
            for (frames, pulled, fail_at) in steps {
                if append(&mut blocks, &mut next, frames * 4, fail_at) {
                    len += frames * 4;
                }
                if let Some(piece) = blocks.pull(pulled) {
                    prop_assert!(piece.len() <= pulled && piece.len().is_multiple_of(4) && piece.len() <= 12);
                    len -= piece.len();
                    for byte in piece {
                        prop_assert_eq!(byte, expected);
                        expected = expected.wrapping_add(1);
                    }
                }
                prop_assert_eq!(blocks.len(), len);
            }
        }
    }

    #[test]
    fn a_piece_shares_the_memory_that_was_read_into() {
        let mut blocks = blocks();
        let mut origin = std::ptr::null();
        assert!(blocks.append(8, |part| {
            origin = part.as_ptr();
            true
        }));
        assert_eq!(blocks.pull(8).unwrap().as_ptr(), origin);
    }

    #[test]
    fn all_frames_can_be_changed_and_the_newest_ones_removed() {
        let (mut blocks, mut next) = (blocks(), 0);
        append(&mut blocks, &mut next, 32, None);
        blocks.frames_mut().for_each(|frame| frame[0] = 99);
        blocks.truncate(20);
        assert_eq!(
            (blocks.len(), blocks.head(6), blocks.frames_mut().count()),
            (20, vec![99, 1, 2, 3, 99, 5], 5)
        );
        blocks.truncate(0);
        assert!(blocks.pull(4).is_none());
    }
}
