//! A buddy allocator for the blocks of one share of the isolated area.

/// The size of the smallest block. It holds an indirect table together with a request's header and
/// status.
pub const MIN_BLOCK: u32 = 512;
/// The size of the largest block.
///
/// Linux's default limit for a disk request is 1280 KiB, which is only a little more.
pub const MAX_BLOCK: u32 = 1 << 20;
/// The number of block sizes. Each size is twice the size before it.
pub(super) const ORDERS: usize = (MAX_BLOCK / MIN_BLOCK).ilog2() as usize + 1;

/// An allocated block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// The offset in the share; a multiple of the block's size.
    pub offset: u32,
    /// The block has `MIN_BLOCK << order` bytes.
    order: u8,
}

impl Block {
    /// Returns the size in bytes.
    #[must_use]
    pub const fn size(self) -> u32 {
        MIN_BLOCK << self.order
    }

    /// Returns the index of this block's size among the block sizes.
    pub(super) fn order(self) -> usize {
        self.order.into()
    }
}

/// Returns the index of the smallest block size that holds `size` bytes. `size` is at most
/// [`MAX_BLOCK`].
pub(super) const fn order_of(size: u32) -> usize {
    size.div_ceil(MIN_BLOCK).next_power_of_two().ilog2() as usize
}

/// Allocates blocks whose sizes are powers of two. Keeps its records outside the shared memory.
///
/// A released block is merged with its free buddy immediately. A share without allocated blocks is
/// therefore never fragmented. Free blocks of one size are reused last in, first out, while their
/// bytes are still cached. Each call takes a bounded number of steps.
#[derive(Debug)]
pub struct Buddy {
    /// The first free block of each order. The free blocks of an order form a list.
    heads: [Option<u32>; ORDERS],
    /// The state of each unit of `MIN_BLOCK` bytes.
    units: Box<[Unit]>,
    /// The number of free bytes.
    free: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// An allocated block begins here, or the unit is inside a block.
    Taken,
    /// A free block of this order begins here.
    Free { order: u8, previous: Option<u32>, next: Option<u32> },
}

impl Buddy {
    /// Makes an allocator for `size` bytes, rounded down to a multiple of [`MIN_BLOCK`].
    #[must_use]
    pub fn new(size: u32) -> Self {
        let count = size / MIN_BLOCK;
        let mut buddy =
            Self { heads: [None; ORDERS], units: vec![Unit::Taken; count as usize].into(), free: 0 };
        // Blocks are pushed from the end, so that the first block is the first to be allocated.
        let mut end = count;
        while end > 0 {
            let order = (ORDERS - 1).min(end.trailing_zeros() as usize);
            end -= 1 << order;
            buddy.push(end, order);
            buddy.free += u64::from(MIN_BLOCK) << order;
        }
        buddy
    }

    /// Returns the number of free bytes.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.free
    }

    /// Returns the number of bytes, free and allocated.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.units.len() as u64 * MIN_BLOCK as u64
    }

    /// Allocates a block of at least `size` bytes. No block is larger than [`MAX_BLOCK`].
    pub fn allocate(&mut self, size: u32) -> Option<Block> {
        if size > MAX_BLOCK {
            return None;
        }
        let wanted = order_of(size);
        let found = (wanted..ORDERS).find(|&order| self.heads.get(order).is_some_and(Option::is_some))?;
        let unit = self.heads.get(found).copied().flatten()?;
        self.remove(unit);
        for order in (wanted..found).rev() {
            self.push(unit + (1 << order), order);
        }
        self.free -= u64::from(MIN_BLOCK) << wanted;
        // There are 12 orders, and the blocks of a share have at most 2 GiB, so both numbers fit.
        Some(Block { offset: unit * MIN_BLOCK, order: u8::try_from(wanted).unwrap_or(0) })
    }

    /// Releases a block that [`allocate`](Self::allocate) has returned.
    pub fn release(&mut self, block: Block) {
        let (mut unit, mut order) = (block.offset / MIN_BLOCK, usize::from(block.order));
        self.free += u64::from(block.size());
        while order + 1 < ORDERS {
            let buddy = unit ^ (1 << order);
            match self.units.get(buddy as usize) {
                Some(Unit::Free { order: other, .. }) if usize::from(*other) == order => {
                    self.remove(buddy);
                }
                _ => break,
            }
            unit = unit.min(buddy);
            order += 1;
        }
        self.push(unit, order);
    }

    /// Adds a free block at the front of its list.
    fn push(&mut self, unit: u32, order: usize) {
        let next = self.heads.get_mut(order).and_then(|head| head.replace(unit));
        if let Some(Unit::Free { previous, .. }) = next.and_then(|next| self.units.get_mut(next as usize)) {
            *previous = Some(unit);
        }
        if let Some(slot) = self.units.get_mut(unit as usize) {
            *slot = Unit::Free { order: u8::try_from(order).unwrap_or(0), previous: None, next };
        }
    }

    /// Removes a free block from its list.
    fn remove(&mut self, unit: u32) {
        let Some(slot) = self.units.get_mut(unit as usize) else { return };
        let Unit::Free { order, previous, next } = std::mem::replace(slot, Unit::Taken) else { return };
        if let Some(Unit::Free { previous: link, .. }) =
            next.and_then(|next| self.units.get_mut(next as usize))
        {
            *link = previous;
        }
        match previous.and_then(|previous| self.units.get_mut(previous as usize)) {
            Some(Unit::Free { next: link, .. }) => *link = next,
            _ => {
                if let Some(head) = self.heads.get_mut(usize::from(order)) {
                    *head = next;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_block_released_last_is_allocated_next() {
        let mut buddy = Buddy::new(1 << 20);
        let [_, second, _] = [0; 3].map(|_| buddy.allocate(4096).unwrap());
        buddy.release(second);
        assert_eq!(buddy.allocate(4096), Some(second));
    }

    #[test]
    fn sizes_are_rounded_up_to_a_power_of_two() {
        let mut buddy = Buddy::new(1 << 22);
        for (asked, given) in
            [(0, 512), (1, 512), (512, 512), (513, 1024), (4096, 4096), (MAX_BLOCK, MAX_BLOCK)]
        {
            assert_eq!(buddy.allocate(asked).unwrap().size(), given);
        }
        assert_eq!(buddy.allocate(MAX_BLOCK + 1), None);
    }

    proptest! {
        /// Compares the allocator with a plain map of the allocated units.
        #[test]
        fn blocks_never_overlap_and_no_bytes_are_lost(
            units in 1u32..5000,
            steps in prop::collection::vec((any::<bool>(), 0u32..40_000, any::<prop::sample::Index>()), 1..400),
        ) {
            let mut buddy = Buddy::new(units * MIN_BLOCK);
            let mut taken = vec![false; units as usize];
            let mut out: Vec<Block> = Vec::new();
            let span = |block: Block| {
                let first = (block.offset / MIN_BLOCK) as usize;
                first..first + (block.size() / MIN_BLOCK) as usize
            };
            for (give_back, size, index) in steps {
                if give_back && !out.is_empty() {
                    let block = out.swap_remove(index.index(out.len()));
                    taken[span(block)].fill(false);
                    buddy.release(block);
                } else if let Some(block) = buddy.allocate(size) {
                    prop_assert!(block.size() >= size && block.offset % block.size() == 0);
                    prop_assert!(taken[span(block)].iter().all(|taken| !taken));
                    taken[span(block)].fill(true);
                    out.push(block);
                }
                let held = taken.iter().filter(|taken| **taken).count() as u64 * u64::from(MIN_BLOCK);
                prop_assert_eq!(buddy.free(), buddy.capacity() - held);
            }
            // Once all blocks are released, the allocator has as many blocks of each size as a new
            // one.
            out.into_iter().for_each(|block| buddy.release(block));
            let mut fresh = Buddy::new(units * MIN_BLOCK);
            for order in (0..ORDERS).rev() {
                let size = MIN_BLOCK << order;
                let count = |buddy: &mut Buddy| std::iter::from_fn(|| buddy.allocate(size)).count();
                prop_assert_eq!(count(&mut buddy), count(&mut fresh));
            }
            prop_assert_eq!(buddy.free(), 0);
        }
    }
}
