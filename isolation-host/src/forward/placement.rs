//! Where a request lies in its queue's share of the isolated area.
//!
//! ```text
//!       one shared block for each direction                one or more blocks each
//! ┌────────────────┬────────┐  ┌────────┐  ┌───────────────────────┐  ┌─────────────────┐
//! │ indirect table │ header │  │ status │  │ data (more than 128 B)│  │ data, continued │
//! └────────────────┴────────┘  └────────┘  └───────────────────────┘  └─────────────────┘
//! ```

use ring_core::Segment;
use smallvec::SmallVec;

use super::framing::Frame;
use super::pieces::Pieces;
use crate::area::buddy::{MAX_BLOCK, MIN_BLOCK};
use crate::area::pool::{Lease, Pool, Side};

/// The longest piece that shares a block with others: headers and statuses.
const MAX_SHARED: u64 = 128;
/// The longest piece that gets one block even if much of the block stays unused.
///
/// A longer piece is cut into blocks that it fills, and a last block of up to this size.
const MAX_ONE_BLOCK: u64 = 64 << 10;
/// The alignment of pieces in a shared block.
const ALIGN: u32 = 16;
/// The size of a descriptor in an indirect table.
const DESCRIPTOR: u32 = 16;
/// The address of a piece that is not placed yet. No block has this address.
const UNPLACED: u64 = 0;

/// The blocks of one request.
#[derive(Debug, Default)]
pub(super) struct Placement {
    leases: SmallVec<[Lease; 3]>,
    /// The request's segments in the isolated area.
    pub(super) pieces: Pieces,
    /// Room for an indirect table, if the request needs one.
    pub(super) table: Option<Segment>,
}

impl Placement {
    /// Allocates blocks for pieces of these lengths. Returns whether there was room.
    ///
    /// Adds an indirect table if `indirect` allows one and there is more than one piece.
    ///
    /// The placement must be empty, and stays empty if there is no room.
    pub(super) fn place(&mut self, pool: &mut Pool, frames: (Frame, Frame), indirect: bool) -> bool {
        let placed = self.fill(pool, frames, indirect).is_some();
        if !placed {
            self.release(pool);
        }
        placed
    }

    fn fill(&mut self, pool: &mut Pool, (readable, writable): (Frame, Frame), indirect: bool) -> Option<()> {
        // Data comes first, because the number of its blocks determines the size of the table.
        for length in readable.into_iter().filter(|length| *length > 0) {
            self.place_piece(pool, Side::ToDevice, length)?;
        }
        for length in writable.into_iter().filter(|length| *length > 0) {
            self.place_piece(pool, Side::FromDevice, length)?;
        }
        let count = self.pieces.all().len();
        let table =
            if indirect && count > 1 { u32::try_from(count).ok()?.checked_mul(DESCRIPTOR)? } else { 0 };
        let start = self.place_short(pool, Side::ToDevice, table)?;
        self.table = (table > 0).then_some(Segment::new(start, table));
        self.place_short(pool, Side::FromDevice, 0)?;
        Some(())
    }

    /// Allocates a block for the short pieces of one direction, behind `before` bytes. Returns the
    /// address of the block.
    fn place_short(&mut self, pool: &mut Pool, side: Side, before: u32) -> Option<u64> {
        let (readable, writable) = self.pieces.split_mut();
        let pieces = if side == Side::ToDevice { readable } else { writable };
        let room = |piece: &Segment| piece.len.next_multiple_of(ALIGN);
        let before = before.next_multiple_of(ALIGN);
        let size = before + pieces.iter().filter(|piece| is_unplaced(piece)).map(room).sum::<u32>();
        if size == 0 {
            return Some(UNPLACED);
        }
        let lease = pool.allocate(side, size)?;
        self.leases.push(lease);
        let start = pool.address(lease);
        let mut address = start + u64::from(before);
        for piece in pieces.iter_mut().filter(|piece| is_unplaced(piece)) {
            piece.address = address;
            address += u64::from(room(piece));
        }
        Some(start)
    }

    /// Adds a piece. A long piece gets blocks of its own; a short piece stays unplaced.
    fn place_piece(&mut self, pool: &mut Pool, side: Side, length: u64) -> Option<()> {
        if length <= MAX_SHARED {
            self.pieces.push(side, Segment::new(UNPLACED, u32::try_from(length).ok()?));
            return Some(());
        }
        // Fails early instead of allocating all free blocks first.
        if length > pool.free() {
            return None;
        }
        let mut left = length;
        while left > 0 {
            let lease = allocate_for(pool, side, left)?;
            self.leases.push(lease);
            let part = u32::try_from(left).map_or(lease.size(), |left| left.min(lease.size()));
            self.pieces.push(side, Segment::new(pool.address(lease), part));
            left -= u64::from(part);
        }
        Some(())
    }

    /// Returns whether the request lies in the area.
    pub(super) fn is_placed(&self) -> bool {
        !self.pieces.all().is_empty()
    }

    /// Frees all blocks, which leaves the placement empty.
    pub(super) fn release(&mut self, pool: &mut Pool) {
        for lease in std::mem::take(&mut self.leases) {
            pool.release(lease);
        }
        self.pieces.clear();
        self.table = None;
    }
}

const fn is_unplaced(piece: &Segment) -> bool {
    piece.address == UNPLACED
}

/// Allocates a block for the next part of `left` bytes: for all of them, or for as many as
/// possible.
fn allocate_for(pool: &mut Pool, side: Side, left: u64) -> Option<Lease> {
    let mut size = if left <= MAX_ONE_BLOCK {
        u32::try_from(left).ok()?
    } else {
        // The largest power of two that the piece fills.
        u32::try_from(1u64 << left.ilog2()).map_or(MAX_BLOCK, |size| size.min(MAX_BLOCK))
    };
    loop {
        match pool.allocate(side, size) {
            Some(lease) => return Some(lease),
            // The free memory is fragmented, so try half the size.
            None if size > MIN_BLOCK => size = (size / 2).next_power_of_two().max(MIN_BLOCK),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::area::Area;
    use crate::area::buddy::Buddy;
    use crate::area::policy::Policy;
    use crate::block_limits::Limits;
    use proptest::prelude::*;
    use ring_core::Features;

    /// Makes a pool of `size` bytes.
    fn pool(size: u32) -> Pool {
        let area = Area::new(u64::from(size) + (2 << 20), 1).unwrap();
        let share = area.share(0, 256, Features::empty()).unwrap();
        Pool::new(area.window().clone(), share.blocks, Buddy::new(size), Policy::default())
    }

    /// Places pieces of these lengths, if there is room.
    fn place(pool: &mut Pool, readable: Frame, writable: Frame) -> Option<Placement> {
        let mut placement = Placement::default();
        placement.place(pool, (readable, writable), true).then_some(placement)
    }

    fn lengths(segments: &[Segment]) -> Vec<u32> {
        segments.iter().map(|segment| segment.len).collect()
    }

    #[test]
    fn table_and_header_share_a_block_and_data_and_status_have_their_own() {
        let mut pool = pool(4 << 20);
        let mut placement = place(&mut pool, [16, 0, 0], [4096, 0, 1]).unwrap();
        assert_eq!(
            (lengths(placement.pieces.split().0), lengths(placement.pieces.writable())),
            (vec![16], vec![4096, 1])
        );
        assert_eq!(placement.table.unwrap().len, 3 * 16);
        assert_eq!(pool.free(), (4 << 20) - 4096 - 2 * 512);
        placement.release(&mut pool);
        assert_eq!(pool.free(), 4 << 20);
    }

    #[test]
    fn without_a_table_only_the_data_is_allocated() {
        let mut pool = pool(4 << 20);
        let placement = place(&mut pool, [0; 3], [4096, 0, 0]).unwrap();
        assert_eq!((placement.table, pool.free()), (None, (4 << 20) - 4096));
        let mut direct = Placement::default();
        assert!(direct.place(&mut pool, ([16, 0, 0], [4096, 0, 1]), false));
        assert_eq!((direct.table, direct.pieces.all().len()), (None, 3));
    }

    #[test]
    fn data_larger_than_the_largest_block_is_cut() {
        let mut pool = pool(8 << 20);
        let placement = place(&mut pool, [16, 0, 1280 << 10], [1, 0, 0]).unwrap();
        assert_eq!(lengths(placement.pieces.split().0), [16, 1 << 20, 256 << 10]);
    }

    #[test]
    fn without_enough_room_nothing_stays_allocated() {
        let mut pool = pool(1 << 20);
        assert!(place(&mut pool, [16, 0, 1 << 20], [1, 0, 0]).is_none());
        assert!(place(&mut pool, [u64::from(u32::MAX), 0, 0], [0; 3]).is_none());
        assert_eq!(pool.free(), 1 << 20);
    }

    #[test]
    fn fragmented_memory_is_used_in_smaller_blocks() {
        let mut pool = pool(1 << 20);
        // Every second block of 64 KiB is free.
        let blocks: Vec<Lease> = (0..16).map(|_| pool.allocate(Side::ToDevice, 64 << 10).unwrap()).collect();
        blocks.iter().step_by(2).for_each(|lease| pool.release(*lease));
        let placement = place(&mut pool, [400 << 10, 0, 0], [0; 3]).unwrap();
        assert_eq!(lengths(placement.pieces.split().0), [[64 << 10; 6].as_slice(), &[16 << 10]].concat());
    }

    proptest! {
        #[test]
        fn the_largest_request_that_a_disk_announces_fits_an_empty_share(
            device in any::<[u8; 8]>(), size in (1u64 << 20)..(64 << 20), queues in 1u16..9,
        ) {
            let area = Area::new(size, queues).unwrap();
            let Ok(share) = area.share(0, 256, Features::empty()) else { return Ok(()) };
            let Limits { size_max, seg_max } = Limits::new(device, area.share_size());
            prop_assert!(size_max > 0 && seg_max > 0);
            let mut pool = Pool::new(area.window().clone(), share.blocks, share.buddy, Policy::default());
            let data = u64::from(size_max) * u64::from(seg_max);
            for (readable, writable) in [([16, 0, data], [1, 0, 0]), ([16, 0, 0], [data, 0, 1])] {
                let mut placement = place(&mut pool, readable, writable).unwrap();
                prop_assert!(placement.pieces.all().len() <= 16);
                placement.release(&mut pool);
            }
        }

        #[test]
        fn pieces_keep_their_lengths_and_never_overlap(
            readable in prop::array::uniform3(0u64..300_000),
            writable in prop::array::uniform3(0u64..300_000),
        ) {
            let mut pool = pool(8 << 20);
            let mut placement = place(&mut pool, readable, writable).unwrap();
            prop_assert_eq!(Segment::total(placement.pieces.split().0), readable.iter().sum::<u64>());
            prop_assert_eq!(Segment::total(placement.pieces.writable()), writable.iter().sum::<u64>());
            let mut all: Vec<Segment> = [placement.pieces.all(), placement.table.as_slice()].concat();
            all.sort_by_key(|segment| segment.address);
            for pair in all.windows(2) {
                prop_assert!(pair[0].address + u64::from(pair[0].len) <= pair[1].address);
            }
            placement.release(&mut pool);
            prop_assert_eq!(pool.free(), pool.capacity());
        }
    }
}
