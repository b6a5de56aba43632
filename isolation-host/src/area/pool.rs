//! The blocks of a queue's share, sorted by the bytes that they may still hold.
//!
//! Memory that the device reads and memory that it writes are kept apart: a block that has held
//! bytes of one kind is used for the same kind again, or is zeroed.
//!
//! ```text
//!                 allocate                            release
//!   ┌───────────────────────────────▶ to the device ─────────────▶ read ──┐ allocate,
//!   │                                                               ▲─────┘ to the device
//! zeroed (buddy) ◀──────────────── zeroed: scrub, or too few zeroed blocks ─┤
//!   │                                                               ▼─────┐ allocate,
//!   └───────────────────────────────▶ from the device ───────────▶ written ─┘ from the device
//! ```

use super::buddy::{Block, Buddy, MAX_BLOCK, ORDERS, order_of};
use super::policy::{Policy, Scrub, Zero};
use crate::mmap::Window;

/// The direction in which a block carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The guest has written the bytes, and the device reads them.
    ToDevice,
    /// The device writes the bytes, and the guest gets them.
    FromDevice,
}

/// An allocated block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a block that is not released stays allocated"]
pub struct Lease {
    block: Block,
    side: Side,
    /// The number of bytes at the start of the block that may be other than zero.
    dirty: u32,
}

impl Lease {
    /// Returns the size in bytes.
    #[must_use]
    pub const fn size(self) -> u32 {
        self.block.size()
    }
}

/// Released blocks that are not zero, by their order. The last released is the first.
type Released = [Vec<Lease>; ORDERS];

/// Allocates the blocks of one share.
#[derive(Debug)]
pub struct Pool {
    window: Window,
    /// The address of the first block.
    base: u64,
    policy: Policy,
    /// The blocks that are zero.
    zeroed: Buddy,
    read: Released,
    written: Released,
    /// The number of bytes in `read` and `written`.
    released: u64,
}

impl Pool {
    /// Makes a pool of zeroed blocks. `base` is the address of the first block.
    #[must_use]
    pub fn new(window: Window, base: u64, zeroed: Buddy, policy: Policy) -> Self {
        let empty = || [const { Vec::new() }; ORDERS];
        Self { window, base, policy, zeroed, read: empty(), written: empty(), released: 0 }
    }

    /// Returns the number of bytes that are not allocated.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.zeroed.free() + self.released
    }

    /// Returns the number of bytes, free and allocated.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        self.zeroed.capacity()
    }

    /// Returns the address of a block.
    #[must_use]
    pub fn address(&self, lease: Lease) -> u64 {
        self.base + u64::from(lease.block.offset)
    }

    /// Allocates a block of at least `len` bytes. No block is larger than [`MAX_BLOCK`].
    ///
    /// The first `len` bytes of a block from the device are zero, or hold what the [`Zero`] policy
    /// allows. The other bytes of a block to the device are zero, unless the [`Scrub`] policy is
    /// [`Never`](Scrub::Never).
    pub fn allocate(&mut self, side: Side, len: u32) -> Option<Lease> {
        if len > MAX_BLOCK {
            return None;
        }
        let reused = self.released(side).get_mut(order_of(len)).and_then(Vec::pop);
        let mut lease = match reused {
            Some(lease) => {
                self.released -= u64::from(lease.size());
                lease
            }
            None => Lease { block: self.take_zeroed(len)?, side, dirty: 0 },
        };
        match side {
            Side::ToDevice => {
                if self.policy.scrub != Scrub::Never && lease.dirty > len {
                    self.zero(lease, len);
                    lease.dirty = len;
                }
                lease.dirty = lease.dirty.max(len);
            }
            Side::FromDevice => {
                if self.policy.zero == Zero::Always {
                    self.zero(Lease { dirty: lease.dirty.min(len), ..lease }, 0);
                }
                // The device may write past the end of its buffer.
                lease.dirty = lease.size();
            }
        }
        Some(lease)
    }

    /// Releases a block.
    pub fn release(&mut self, lease: Lease) {
        if lease.side == Side::ToDevice && self.policy.scrub == Scrub::Always {
            self.zero(lease, 0);
            return self.zeroed.release(lease.block);
        }
        if let Some(released) = self.released(lease.side).get_mut(lease.block.order()) {
            released.push(lease);
            self.released += u64::from(lease.size());
        }
    }

    /// Returns whether there are bytes that [`scrub`](Self::scrub) has to zero eventually.
    #[must_use]
    pub fn has_residue(&self) -> bool {
        self.policy.scrub == Scrub::Auto && self.read.iter().any(|released| !released.is_empty())
    }

    /// Zeroes released blocks that the device has read, up to about `limit` bytes. Returns whether
    /// there are more.
    pub fn scrub(&mut self, limit: u64) -> bool {
        let mut bytes = 0;
        while bytes < limit {
            let Some(lease) = self.read.iter_mut().rev().find_map(Vec::pop) else { return false };
            bytes += u64::from(lease.dirty);
            self.reclaim(lease);
        }
        self.read.iter().any(|released| !released.is_empty())
    }

    /// Takes a zeroed block. Zeroes released blocks, the largest first, if there is none.
    fn take_zeroed(&mut self, len: u32) -> Option<Block> {
        loop {
            if let Some(block) = self.zeroed.allocate(len) {
                return Some(block);
            }
            let released = self.read.iter_mut().zip(&mut self.written).rev();
            let lease = released.into_iter().find_map(|(read, written)| read.pop().or_else(|| written.pop()));
            self.reclaim(lease?);
        }
    }

    /// Zeroes a block that was released.
    fn reclaim(&mut self, lease: Lease) {
        self.zero(lease, 0);
        self.released -= u64::from(lease.size());
        self.zeroed.release(lease.block);
    }

    /// Zeroes the dirty bytes of a block, starting at an offset.
    fn zero(&self, lease: Lease, from: u32) {
        let zeroed = self.window.zero(self.address(lease) + u64::from(from), lease.dirty - from);
        debug_assert!(zeroed.is_ok(), "a block is in the window");
    }

    const fn released(&mut self, side: Side) -> &mut Released {
        match side {
            Side::ToDevice => &mut self.read,
            Side::FromDevice => &mut self.written,
        }
    }
}

impl Drop for Pool {
    /// Zeroes the bytes that the device has read. Requests that the device has not finished keep
    /// their bytes, because the device may still be carrying them out.
    fn drop(&mut self) {
        self.scrub(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::area::{Area, Share};
    use proptest::prelude::*;
    use ring_core::Features;
    use ring_core::memory::Memory as _;

    const GUEST: u8 = 0xaa;
    const DEVICE: u8 = 0xbb;

    fn pool(policy: Policy) -> (Area, Pool) {
        let area = Area::new(2 << 20, 1).unwrap();
        let Share { blocks, buddy, .. } = area.share(0, 16, Features::empty()).unwrap();
        let pool = Pool::new(area.window().clone(), blocks, buddy, policy);
        (area, pool)
    }

    fn bytes(area: &Area, address: u64, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        area.window().read_bytes(address, &mut bytes).unwrap();
        bytes
    }

    /// Returns all bytes of the area.
    fn everything(area: &Area) -> Vec<u8> {
        bytes(area, area.window().address(), u32::try_from(area.window().size()).unwrap())
    }

    fn count(area: &Area, byte: u8) -> usize {
        everything(area).into_iter().filter(|found| *found == byte).count()
    }

    #[test]
    fn bytes_that_the_device_has_read_are_zeroed_as_the_policy_says() {
        for (scrub, released, scrubbed) in
            [(Scrub::Auto, 5000, 0), (Scrub::Always, 0, 0), (Scrub::Never, 5000, 5000)]
        {
            let (area, mut pool) = pool(Policy { scrub, ..Policy::default() });
            let lease = pool.allocate(Side::ToDevice, 5000).unwrap();
            area.window().write_bytes(pool.address(lease), &[GUEST; 5000]).unwrap();
            assert!(!pool.has_residue());
            pool.release(lease);
            assert_eq!(count(&area, GUEST), released, "{scrub:?}");
            if pool.has_residue() {
                assert!(!pool.scrub(u64::MAX) && !pool.has_residue());
            }
            assert_eq!(count(&area, GUEST), scrubbed, "{scrub:?}");
            // When the queue is stopped, no policy leaves bytes.
            drop(pool);
            assert_eq!(count(&area, GUEST), 0, "{scrub:?}");
        }
    }

    #[test]
    fn an_unfinished_request_keeps_its_bytes_when_the_pool_goes() {
        let (area, mut pool) = pool(Policy::default());
        let lease = pool.allocate(Side::ToDevice, 5000).unwrap();
        area.window().write_bytes(pool.address(lease), &[GUEST; 5000]).unwrap();
        drop(pool);
        assert_eq!(count(&area, GUEST), 5000);
        area.share(0, 16, Features::empty()).unwrap();
        assert_eq!(count(&area, GUEST), 0);
    }

    #[test]
    fn scrubbing_goes_in_batches() {
        let (_area, mut pool) = pool(Policy::default());
        let leases = [4096; 8].map(|len| pool.allocate(Side::ToDevice, len).unwrap());
        leases.into_iter().for_each(|lease| pool.release(lease));
        let more: Vec<bool> = (0..4).map(|_| pool.scrub(8192)).collect();
        assert_eq!(more, [true, true, true, false]);
    }

    /// Checks what a block may hold when it is allocated.
    fn check(area: &Area, pool: &Pool, lease: Lease, len: u32, policy: Policy) -> Result<(), TestCaseError> {
        let found = bytes(area, pool.address(lease), lease.size());
        let (used, rest) = found.split_at(len as usize);
        match lease.side {
            Side::ToDevice if policy.scrub == Scrub::Never => {}
            Side::ToDevice => prop_assert!(rest.iter().all(|byte| *byte == 0)),
            Side::FromDevice if policy.zero == Zero::Always => {
                prop_assert!(used.iter().all(|byte| *byte == 0));
            }
            Side::FromDevice => prop_assert!(!used.contains(&GUEST)),
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The device writes the whole of each block that it gets. No block that it gets holds
        /// bytes of the guest, and with the default policy no block holds any earlier bytes.
        #[test]
        fn no_block_from_the_device_holds_bytes_of_an_earlier_request(
            scrub in prop::sample::select(&[Scrub::Auto, Scrub::Always, Scrub::Never][..]),
            zero in prop::sample::select(&[Zero::Auto, Zero::Always][..]),
            steps in prop::collection::vec(
                (0u8..4, 1u32..40_000, any::<prop::sample::Index>()), 1..60
            ),
        ) {
            let policy = Policy { scrub, zero };
            let (area, mut pool) = pool(policy);
            let mut out: Vec<Lease> = Vec::new();
            for (step, len, index) in steps {
                let side = if step == 0 { Side::ToDevice } else { Side::FromDevice };
                if step < 2 {
                    let Some(lease) = pool.allocate(side, len) else { continue };
                    check(&area, &pool, lease, len, policy)?;
                    let (byte, len) = if step == 0 { (GUEST, len) } else { (DEVICE, lease.size()) };
                    area.window().write_bytes(pool.address(lease), &vec![byte; len as usize]).unwrap();
                    out.push(lease);
                } else if step == 2 && !out.is_empty() {
                    pool.release(out.swap_remove(index.index(out.len())));
                } else if pool.has_residue() {
                    pool.scrub(100_000);
                }
                let held: u64 = out.iter().map(|lease| u64::from(lease.size())).sum();
                prop_assert_eq!(pool.free(), pool.capacity() - held);
            }
            out.into_iter().for_each(|lease| pool.release(lease));
            drop(pool);
            prop_assert_eq!(count(&area, GUEST), 0);
        }
    }
}
