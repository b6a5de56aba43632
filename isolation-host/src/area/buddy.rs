//! Which parts of a queue's share of the isolated area are free: a buddy allocator, without memory of its own.

/// The smallest block, in bytes. An indirect table with a request's header and status fits.
pub const MIN_BLOCK: u32 = 512;
/// The largest block, in bytes: Linux's usual limit of a request's data is not far above.
pub const MAX_BLOCK: u32 = 1 << 20;
/// The number of sizes, each twice the one before.
const ORDERS: usize = (MAX_BLOCK / MIN_BLOCK).ilog2() as usize + 1;

/// A block that was handed out: where it begins in the share, and its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block {
    /// Its first byte in the share; a multiple of its size.
    pub offset: u32,
    /// Its order: it has `MIN_BLOCK << order` bytes.
    order: u8,
}

impl Block {
    /// Its size in bytes.
    #[must_use]
    pub const fn size(self) -> u32 {
        MIN_BLOCK << self.order
    }
}

/// Hands out blocks of powers of two and takes them back.
///
/// A block that comes back is merged with its free neighbour at once, so a share of which nothing is handed
/// out is always whole again, and whatever fits it once fits it then. Free blocks of a size are handed out
/// last in, first out, while their bytes are still in the cache. Each call does a bounded number of steps,
/// whatever the order of the calls.
#[derive(Debug)]
pub struct Buddy {
    /// Of each order, the first free block; a list through `links`.
    heads: [Option<u32>; ORDERS],
    /// Of each unit of `MIN_BLOCK`: what begins there.
    units: Box<[Unit]>,
    /// Bytes that are not handed out.
    free: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// It is inside a block, or it begins one that is handed out.
    Taken,
    /// A free block of this order begins here.
    Free { order: u8, previous: Option<u32>, next: Option<u32> },
}

impl Buddy {
    /// A share of `size` bytes, as far as they are a multiple of [`MIN_BLOCK`].
    #[must_use]
    pub fn new(size: u32) -> Self {
        let count = size / MIN_BLOCK;
        let mut buddy =
            Self { heads: [None; ORDERS], units: vec![Unit::Taken; count as usize].into(), free: 0 };
        // From the end, so that the first block is the first to be handed out.
        let mut end = count;
        while end > 0 {
            let order = (ORDERS - 1).min(end.trailing_zeros() as usize);
            end -= 1 << order;
            buddy.push(end, order);
            buddy.free += u64::from(MIN_BLOCK) << order;
        }
        buddy
    }

    /// Bytes that are not handed out.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.free
    }

    /// Bytes in all.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.units.len() as u64 * MIN_BLOCK as u64
    }

    /// Hands out a block of at least `size` bytes, at most [`MAX_BLOCK`].
    pub fn allocate(&mut self, size: u32) -> Option<Block> {
        if size > MAX_BLOCK {
            return None;
        }
        let wanted = size.div_ceil(MIN_BLOCK).next_power_of_two().ilog2() as usize;
        let found = (wanted..ORDERS).find(|&order| self.heads.get(order).is_some_and(Option::is_some))?;
        let unit = self.heads.get(found).copied().flatten()?;
        self.remove(unit);
        for order in (wanted..found).rev() {
            self.push(unit + (1 << order), order);
        }
        self.free -= u64::from(MIN_BLOCK) << wanted;
        // There are eleven orders, and a share is at most 4 GiB.
        Some(Block { offset: unit * MIN_BLOCK, order: u8::try_from(wanted).unwrap_or(0) })
    }

    /// Takes back a block that [`allocate`](Self::allocate) handed out.
    pub fn release(&mut self, block: Block) {
        let (mut unit, mut order) = (block.offset / MIN_BLOCK, usize::from(block.order));
        self.free += u64::from(block.size());
        while order + 1 < ORDERS {
            let neighbour = unit ^ (1 << order);
            match self.units.get(neighbour as usize) {
                Some(Unit::Free { order: other, .. }) if usize::from(*other) == order => {
                    self.remove(neighbour);
                }
                _ => break,
            }
            unit = unit.min(neighbour);
            order += 1;
        }
        self.push(unit, order);
    }

    /// Puts a free block first in its list.
    fn push(&mut self, unit: u32, order: usize) {
        let next = self.heads.get_mut(order).and_then(|head| head.replace(unit));
        if let Some(Unit::Free { previous, .. }) = next.and_then(|next| self.units.get_mut(next as usize)) {
            *previous = Some(unit);
        }
        if let Some(slot) = self.units.get_mut(unit as usize) {
            *slot = Unit::Free { order: u8::try_from(order).unwrap_or(0), previous: None, next };
        }
    }

    /// Takes a free block out of its list.
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
    fn the_block_that_came_back_last_is_the_next_to_go() {
        let mut buddy = Buddy::new(1 << 20);
        let [_, second, _] = [0; 3].map(|_| buddy.allocate(4096).unwrap());
        buddy.release(second);
        assert_eq!(buddy.allocate(4096), Some(second));
    }

    #[test]
    fn a_block_is_as_large_as_asked_or_the_next_power_of_two() {
        let mut buddy = Buddy::new(1 << 22);
        for (asked, given) in
            [(0, 512), (1, 512), (512, 512), (513, 1024), (4096, 4096), (MAX_BLOCK, MAX_BLOCK)]
        {
            assert_eq!(buddy.allocate(asked).unwrap().size(), given);
        }
        assert_eq!(buddy.allocate(MAX_BLOCK + 1), None);
    }

    proptest! {
        /// Against a plain map of who has which bytes.
        #[test]
        fn blocks_never_overlap_and_nothing_is_lost(
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
            // Once everything is back, the share is as it was: the same blocks come in the same sizes.
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
