//! Where a request lies in its queue's share of the isolated area.

use ring_core::Segment;
use smallvec::SmallVec;

use crate::area::buddy::{Block, Buddy, MAX_BLOCK, MIN_BLOCK};

/// Up to this length a segment shares a block with others: headers and statuses.
const SMALL: u64 = 128;
/// Up to this length a segment gets one block, however much of it is left over. Above it, it is cut into
/// blocks without rest, down to one of at most this size.
const ONE_BLOCK: u64 = 64 << 10;
/// Segments in a shared block begin at multiples of this.
const ALIGN: u32 = 16;
/// Bytes of a descriptor in an indirect table.
const DESCRIPTOR: u32 = 16;

/// Memory for one request.
#[derive(Debug, Default)]
pub(super) struct Placement {
    blocks: SmallVec<[Block; 3]>,
    pub(super) readable: SmallVec<[Segment; 4]>,
    pub(super) writable: SmallVec<[Segment; 4]>,
    /// Room for all their descriptors.
    pub(super) table: Segment,
}

impl Placement {
    /// Places pieces of these lengths in blocks of a share that begin at `base`. It has nothing placed yet.
    ///
    /// Returns whether there is enough room now; if not, there is still nothing placed.
    pub(super) fn place(&mut self, buddy: &mut Buddy, base: u64, readable: &[u64], writable: &[u64]) -> bool {
        let placed = self.fill(buddy, base, readable, writable).is_some();
        if !placed {
            self.release(buddy);
        }
        placed
    }

    fn fill(&mut self, buddy: &mut Buddy, base: u64, readable: &[u64], writable: &[u64]) -> Option<()> {
        // Blocks for data come first: only then is it known how many descriptors there are.
        for (lengths, segments) in [(readable, &mut self.readable), (writable, &mut self.writable)] {
            for &length in lengths {
                if length <= SMALL {
                    segments.push(Segment::new(0, u32::try_from(length).ok()?));
                } else {
                    cut(buddy, base, length, segments, &mut self.blocks)?;
                }
            }
        }
        let count = self.readable.len() + self.writable.len();
        let table = u32::try_from(count).ok()?.checked_mul(DESCRIPTOR)?;
        let all = self.readable.iter_mut().chain(&mut self.writable);
        let small: SmallVec<[&mut Segment; 6]> = all.filter(|segment| segment.address == 0).collect();
        let size = small.iter().map(|segment| segment.len.next_multiple_of(ALIGN)).sum::<u32>() + table;
        let block = buddy.allocate(size)?;
        self.blocks.push(block);
        let mut address = base + u64::from(block.offset);
        self.table = Segment::new(address, table);
        address += u64::from(table);
        for segment in small {
            segment.address = address;
            address += u64::from(segment.len.next_multiple_of(ALIGN));
        }
        Some(())
    }

    /// Gives all its memory back.
    pub(super) fn release(&mut self, buddy: &mut Buddy) {
        self.blocks.drain(..).for_each(|block| buddy.release(block));
        self.readable.clear();
        self.writable.clear();
    }
}

/// Places one long piece in as few blocks as there are for it.
fn cut(
    buddy: &mut Buddy,
    base: u64,
    length: u64,
    segments: &mut SmallVec<[Segment; 4]>,
    blocks: &mut SmallVec<[Block; 3]>,
) -> Option<()> {
    // What can never fit need not be tried block by block.
    if length > buddy.free() {
        return None;
    }
    let mut left = length;
    while left > 0 {
        let mut wanted = if left <= ONE_BLOCK {
            u32::try_from(left).ok()?
        } else {
            // The largest power of two in it.
            u32::try_from(1u64 << left.ilog2()).map_or(MAX_BLOCK, |size| size.min(MAX_BLOCK))
        };
        let block = loop {
            match buddy.allocate(wanted) {
                Some(block) => break block,
                // The free memory is in smaller pieces.
                None if wanted > MIN_BLOCK => wanted = (wanted / 2).next_power_of_two().max(MIN_BLOCK),
                None => return None,
            }
        };
        blocks.push(block);
        let part = left.min(block.size().into());
        segments.push(Segment::new(base + u64::from(block.offset), u32::try_from(part).ok()?));
        left -= part;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::area::Area;
    use crate::block_limits::Limits;
    use proptest::prelude::*;
    use ring_core::Features;

    const BASE: u64 = 1 << 32;

    /// Where such pieces are placed, if there is room.
    fn place(buddy: &mut Buddy, readable: &[u64], writable: &[u64]) -> Option<Placement> {
        let mut placement = Placement::default();
        placement.place(buddy, BASE, readable, writable).then_some(placement)
    }

    fn lengths(segments: &[Segment]) -> Vec<u32> {
        segments.iter().map(|segment| segment.len).collect()
    }

    #[test]
    fn header_table_and_status_share_a_block_and_data_has_its_own() {
        let mut buddy = Buddy::new(4 << 20);
        let mut placement = place(&mut buddy, &[16], &[4096, 1]).unwrap();
        assert_eq!((lengths(&placement.readable), lengths(&placement.writable)), (vec![16], vec![4096, 1]));
        assert_eq!(placement.table.len, 3 * 16);
        assert_eq!(buddy.free(), (4 << 20) - 4096 - 512);
        placement.release(&mut buddy);
        assert_eq!(buddy.free(), 4 << 20);
    }

    #[test]
    fn data_larger_than_a_block_is_cut() {
        let mut buddy = Buddy::new(8 << 20);
        let placement = place(&mut buddy, &[16, 1280 << 10], &[1]).unwrap();
        assert_eq!(lengths(&placement.readable), [16, 1 << 20, 256 << 10]);
    }

    #[test]
    fn without_enough_room_nothing_is_held() {
        let mut buddy = Buddy::new(1 << 20);
        assert!(place(&mut buddy, &[16, 1 << 20], &[1]).is_none());
        assert!(place(&mut buddy, &[u64::from(u32::MAX)], &[]).is_none());
        assert_eq!(buddy.free(), 1 << 20);
    }

    #[test]
    fn scattered_room_will_do() {
        let mut buddy = Buddy::new(1 << 20);
        // Every second block of 64 KiB is taken.
        let blocks: Vec<Block> = (0..16).map(|_| buddy.allocate(64 << 10).unwrap()).collect();
        blocks.iter().step_by(2).for_each(|block| buddy.release(*block));
        let placement = place(&mut buddy, &[400 << 10], &[]).unwrap();
        assert_eq!(lengths(&placement.readable), [[64 << 10; 6].as_slice(), &[16 << 10]].concat());
    }

    proptest! {
        #[test]
        fn the_largest_request_that_a_disks_guest_is_told_of_fits_an_empty_share(
            device in any::<[u8; 8]>(), size in (1u64 << 20)..(64 << 20), queues in 1u16..9,
        ) {
            let area = Area::new(size, queues).unwrap();
            let Ok(share) = area.share(0, 256, Features::empty()) else { return Ok(()) };
            let Limits { size_max, seg_max } = Limits::new(device, area.size_of_share());
            prop_assert!(size_max > 0 && seg_max > 0);
            let (mut buddy, data) = (share.buddy, u64::from(size_max) * u64::from(seg_max));
            for (readable, writable) in [([16, data].as_slice(), [1].as_slice()), (&[16], &[data, 1])] {
                let mut placement = place(&mut buddy, readable, writable).unwrap();
                prop_assert!(placement.readable.len() + placement.writable.len() <= 16);
                placement.release(&mut buddy);
            }
        }

        #[test]
        fn pieces_keep_their_lengths_and_never_overlap(
            readable in prop::collection::vec(1u64..300_000, 0..4),
            writable in prop::collection::vec(1u64..300_000, 0..4),
        ) {
            let mut buddy = Buddy::new(8 << 20);
            let mut placement = place(&mut buddy, &readable, &writable).unwrap();
            let total = |segments: &[Segment]| segments.iter().map(|it| u64::from(it.len)).sum::<u64>();
            prop_assert_eq!(total(&placement.readable), readable.iter().sum::<u64>());
            prop_assert_eq!(total(&placement.writable), writable.iter().sum::<u64>());
            let mut all: Vec<Segment> = [&placement.readable[..], &placement.writable, &[placement.table]].concat();
            all.sort_by_key(|segment| segment.address);
            for pair in all.windows(2) {
                prop_assert!(pair[0].address + u64::from(pair[0].len) <= pair[1].address);
            }
            placement.release(&mut buddy);
            prop_assert_eq!(buddy.free(), buddy.capacity());
        }
    }
}
