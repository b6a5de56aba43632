//! Where a request lies in its queue's share of the isolated area.

use ring_core::Segment;
use smallvec::SmallVec;

use super::framing::Frame;
use super::requests::Pieces;
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
    pub(super) pieces: Pieces,
    /// Room for all their descriptors, if there is to be a table of them.
    pub(super) table: Option<Segment>,
}

impl Placement {
    /// Places pieces of these lengths, as far as they have any, in blocks of a share that begin at `base`, and a table
    /// where `indirect` allows it and more than one piece asks for it. It has nothing placed yet.
    ///
    /// Returns whether there is enough room now; if not, there is still nothing placed.
    pub(super) fn place(
        &mut self,
        buddy: &mut Buddy,
        base: u64,
        (readable, writable): (Frame, Frame),
        indirect: bool,
    ) -> bool {
        let placed = self.fill(buddy, base, (readable, writable), indirect).is_some();
        if !placed {
            self.release(buddy);
        }
        placed
    }

    fn fill(
        &mut self,
        buddy: &mut Buddy,
        base: u64,
        (readable, writable): (Frame, Frame),
        indirect: bool,
    ) -> Option<()> {
        // Blocks for data come first: only then is it known how many descriptors there are.
        for length in readable.into_iter().filter(|length| *length > 0) {
            self.place_piece(buddy, base, length, Pieces::push_readable)?;
        }
        for length in writable.into_iter().filter(|length| *length > 0) {
            self.place_piece(buddy, base, length, Pieces::push_writable)?;
        }
        let count = self.pieces.all().len();
        let table =
            if indirect && count > 1 { u32::try_from(count).ok()?.checked_mul(DESCRIPTOR)? } else { 0 };
        let room = |piece: &Segment| piece.len.next_multiple_of(ALIGN);
        let small: u32 = self.pieces.all().iter().filter(|piece| is_unplaced(piece)).map(room).sum();
        let size = table.next_multiple_of(ALIGN) + small;
        if size == 0 {
            return Some(());
        }
        let block = buddy.allocate(size)?;
        self.blocks.push(block);
        let mut address = base + u64::from(block.offset);
        self.table = (table > 0).then_some(Segment::new(address, table));
        address += u64::from(table.next_multiple_of(ALIGN));
        for piece in self.pieces.all_mut().iter_mut().filter(|piece| is_unplaced(piece)) {
            piece.address = address;
            address += u64::from(room(piece));
        }
        Some(())
    }

    /// Places a long piece in blocks of its own, and leaves a small one for later.
    fn place_piece(
        &mut self,
        buddy: &mut Buddy,
        base: u64,
        length: u64,
        push: fn(&mut Pieces, Segment),
    ) -> Option<()> {
        if length <= SMALL {
            push(&mut self.pieces, Segment::new(UNPLACED, u32::try_from(length).ok()?));
            return Some(());
        }
        // What can never fit need not be tried block by block.
        if length > buddy.free() {
            return None;
        }
        let mut left = length;
        while left > 0 {
            let block = allocate_for(buddy, left)?;
            self.blocks.push(block);
            let part = left.min(block.size().into());
            push(&mut self.pieces, Segment::new(base + u64::from(block.offset), u32::try_from(part).ok()?));
            left -= part;
        }
        Some(())
    }

    /// Gives all its memory back.
    pub(super) fn release(&mut self, buddy: &mut Buddy) {
        self.blocks.iter().for_each(|block| buddy.release(*block));
        self.blocks.clear();
        self.pieces.clear();
        self.table = None;
    }
}

/// The address of a piece that has none yet. None is placed there.
const UNPLACED: u64 = 0;

const fn is_unplaced(piece: &Segment) -> bool {
    piece.address == UNPLACED
}

/// A block for the next part of `left` bytes, as large as there is for it.
fn allocate_for(buddy: &mut Buddy, left: u64) -> Option<Block> {
    let mut wanted = if left <= ONE_BLOCK {
        u32::try_from(left).ok()?
    } else {
        // The largest power of two in it.
        u32::try_from(1u64 << left.ilog2()).map_or(MAX_BLOCK, |size| size.min(MAX_BLOCK))
    };
    loop {
        match buddy.allocate(wanted) {
            Some(block) => return Some(block),
            // The free memory is in smaller pieces.
            None if wanted > MIN_BLOCK => wanted = (wanted / 2).next_power_of_two().max(MIN_BLOCK),
            None => return None,
        }
    }
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
    fn place(buddy: &mut Buddy, readable: Frame, writable: Frame) -> Option<Placement> {
        let mut placement = Placement::default();
        placement.place(buddy, BASE, (readable, writable), true).then_some(placement)
    }

    fn lengths(segments: &[Segment]) -> Vec<u32> {
        segments.iter().map(|segment| segment.len).collect()
    }

    #[test]
    fn header_table_and_status_share_a_block_and_data_has_its_own() {
        let mut buddy = Buddy::new(4 << 20);
        let mut placement = place(&mut buddy, [16, 0, 0], [4096, 0, 1]).unwrap();
        assert_eq!(
            (lengths(placement.pieces.split().0), lengths(placement.pieces.writable())),
            (vec![16], vec![4096, 1])
        );
        assert_eq!(placement.table.unwrap().len, 3 * 16);
        assert_eq!(buddy.free(), (4 << 20) - 4096 - 512);
        placement.release(&mut buddy);
        assert_eq!(buddy.free(), 4 << 20);
    }

    #[test]
    fn what_needs_no_table_takes_no_more_than_its_data() {
        let mut buddy = Buddy::new(4 << 20);
        let placement = place(&mut buddy, [0; 3], [4096, 0, 0]).unwrap();
        assert_eq!((placement.table, buddy.free()), (None, (4 << 20) - 4096));
        let mut direct = Placement::default();
        assert!(direct.place(&mut buddy, BASE, ([16, 0, 0], [4096, 0, 1]), false));
        assert_eq!((direct.table, direct.pieces.all().len()), (None, 3));
    }

    #[test]
    fn data_larger_than_a_block_is_cut() {
        let mut buddy = Buddy::new(8 << 20);
        let placement = place(&mut buddy, [16, 0, 1280 << 10], [1, 0, 0]).unwrap();
        assert_eq!(lengths(placement.pieces.split().0), [16, 1 << 20, 256 << 10]);
    }

    #[test]
    fn without_enough_room_nothing_is_held() {
        let mut buddy = Buddy::new(1 << 20);
        assert!(place(&mut buddy, [16, 0, 1 << 20], [1, 0, 0]).is_none());
        assert!(place(&mut buddy, [u64::from(u32::MAX), 0, 0], [0; 3]).is_none());
        assert_eq!(buddy.free(), 1 << 20);
    }

    #[test]
    fn scattered_room_will_do() {
        let mut buddy = Buddy::new(1 << 20);
        // Every second block of 64 KiB is taken.
        let blocks: Vec<Block> = (0..16).map(|_| buddy.allocate(64 << 10).unwrap()).collect();
        blocks.iter().step_by(2).for_each(|block| buddy.release(*block));
        let placement = place(&mut buddy, [400 << 10, 0, 0], [0; 3]).unwrap();
        assert_eq!(lengths(placement.pieces.split().0), [[64 << 10; 6].as_slice(), &[16 << 10]].concat());
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
            for (readable, writable) in [([16, 0, data], [1, 0, 0]), ([16, 0, 0], [data, 0, 1])] {
                let mut placement = place(&mut buddy, readable, writable).unwrap();
                prop_assert!(placement.pieces.all().len() <= 16);
                placement.release(&mut buddy);
            }
        }

        #[test]
        fn pieces_keep_their_lengths_and_never_overlap(
            readable in prop::array::uniform3(0u64..300_000),
            writable in prop::array::uniform3(0u64..300_000),
        ) {
            let mut buddy = Buddy::new(8 << 20);
            let mut placement = place(&mut buddy, readable, writable).unwrap();
            prop_assert_eq!(Segment::total(placement.pieces.split().0), readable.iter().sum::<u64>());
            prop_assert_eq!(Segment::total(placement.pieces.writable()), writable.iter().sum::<u64>());
            let mut all: Vec<Segment> = [placement.pieces.all(), placement.table.as_slice()].concat();
            all.sort_by_key(|segment| segment.address);
            for pair in all.windows(2) {
                prop_assert!(pair[0].address + u64::from(pair[0].len) <= pair[1].address);
            }
            placement.release(&mut buddy);
            prop_assert_eq!(buddy.free(), buddy.capacity());
        }
    }
}
