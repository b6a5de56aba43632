//! Following a chain in a table of descriptors, by value.

use core::num::NonZeroU64;

use crate::gathering::{Gathered, Gathering};
use crate::memory::{Memory, Table};
use crate::segment::Segment;
use crate::split::layout::{Descriptor, DescriptorFlags};

/// Collects the segments of the chain that starts with the descriptor `first` in `table`. Returns
/// `None` if the chain breaks a rule, has more than `longest` descriptors, or does not fit the
/// storage.
#[inline(always)]
pub(super) fn gather(
    table: impl Table,
    first: Descriptor,
    storage: &mut [Segment],
    longest: usize,
) -> Option<Gathered> {
    let mut gathering = Gathering::new(storage, longest);
    let (mut descriptor, mut flags) = (first, DescriptorFlags::empty());
    loop {
        if is_writable(descriptor) {
            break;
        }
        gathering.push(descriptor.segment())?;
        flags = flags.union(descriptor.flags());
        if !has_next(descriptor) {
            gathering.end_readable();
            return gathering.finish().filter(|_| !flags.contains(DescriptorFlags::INDIRECT));
        }
        descriptor = following(table, descriptor)?;
    }
    gathering.end_readable();
    loop {
        gathering.push(descriptor.segment())?;
        flags = flags.union(descriptor.flags());
        if !has_next(descriptor) {
            return gathering.finish().filter(|_| !flags.contains(DescriptorFlags::INDIRECT));
        }
        descriptor = following(table, descriptor)?;
        if !is_writable(descriptor) {
            return None;
        }
    }
}

/// Collects the segments of the chain in an indirect table; `None` also if the memory does not
/// resolve the table.
#[inline(never)]
pub(super) fn gather_table<M: Memory>(
    memory: &M,
    table: Segment,
    storage: &mut [Segment],
) -> Option<NonZeroU64> {
    let table = memory.table(table)?;
    gather(table, Descriptor::from_words(table.get(0)?), storage, table.size())?.to_word()
}

#[inline(always)]
fn following(table: impl Table, descriptor: Descriptor) -> Option<Descriptor> {
    table.get(descriptor.next().into()).map(Descriptor::from_words)
}

#[inline(always)]
const fn has_next(descriptor: Descriptor) -> bool {
    descriptor.flags().contains(DescriptorFlags::NEXT)
}

/// Returns whether the device may write the segment of a descriptor.
#[inline(always)]
pub(super) const fn is_writable(descriptor: Descriptor) -> bool {
    descriptor.flags().contains(DescriptorFlags::WRITE)
}
