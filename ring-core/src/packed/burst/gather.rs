//! Following a chain in the ring or in an indirect table, by value.

use core::num::NonZeroU64;

use crate::gathering::{Gathered, Gathering};
use crate::memory::{Memory, Table as _};
use crate::packed::layout::{Control, DescriptorFlags};
use crate::segment::Segment;

use super::taking::Taking;

/// Collects the segments of the chain that starts with the descriptor `first`, at which `taking`
/// stands, and moves `taking` behind the chain. Also returns the chain's id. Returns `None` if the
/// chain breaks a rule, has more than `longest` descriptors, or does not fit the storage.
#[inline(always)]
pub(super) fn gather<M: Memory>(
    taking: &mut Taking<M>,
    first: Control,
    storage: &mut [Segment],
    longest: usize,
) -> Option<(u16, Gathered)> {
    let mut gathering = Gathering::new(storage, longest);
    let (mut descriptor, mut flags) = (first, DescriptorFlags::empty());
    let mut has_next = true;
    while !is_writable(descriptor) {
        gathering.push(Segment::new(taking.address(), descriptor.len))?;
        flags = flags.union(descriptor.flags);
        taking.advance(1);
        has_next = descriptor.flags.contains(DescriptorFlags::NEXT);
        if !has_next {
            break;
        }
        descriptor = Control::from_word(taking.following()?);
    }
    gathering.end_readable();
    while has_next {
        if !is_writable(descriptor) {
            return None;
        }
        gathering.push(Segment::new(taking.address(), descriptor.len))?;
        flags = flags.union(descriptor.flags);
        taking.advance(1);
        has_next = descriptor.flags.contains(DescriptorFlags::NEXT);
        if has_next {
            descriptor = Control::from_word(taking.following()?);
        }
    }
    let chain = gathering.finish().filter(|_| !flags.contains(DescriptorFlags::INDIRECT))?;
    Some((descriptor.id, chain))
}

/// Collects the segments of the descriptors in an indirect table. Returns `None` if the chain
/// breaks a rule or does not fit the storage, or if the memory does not resolve the table.
#[inline(never)]
pub(super) fn gather_table<M: Memory>(
    memory: &M,
    table: Segment,
    storage: &mut [Segment],
) -> Option<NonZeroU64> {
    let table = memory.table(table)?;
    let (size, mut gathering) = (table.size(), Gathering::new(storage, table.size()));
    let get = |index| {
        let (address, word) = table.get(index)?;
        let Control { len, flags, .. } = Control::from_word(word);
        Some((Segment::new(address, len), flags.contains(DescriptorFlags::WRITE)))
    };
    // Each descriptor is read once: the driver can change a descriptor between two reads.
    let (mut index, mut first_writable) = (0, None);
    while index < size {
        let (segment, is_writable) = get(index)?;
        index += 1;
        if is_writable {
            first_writable = Some(segment);
            break;
        }
        gathering.push(segment)?;
    }
    gathering.end_readable();
    if let Some(segment) = first_writable {
        gathering.push(segment)?;
    }
    while index < size {
        let (segment, is_writable) = get(index)?;
        if !is_writable {
            return None;
        }
        gathering.push(segment)?;
        index += 1;
    }
    gathering.finish()?.to_word()
}

/// Returns whether the device may write the segment of a descriptor.
#[inline(always)]
pub(super) const fn is_writable(descriptor: Control) -> bool {
    descriptor.flags.contains(DescriptorFlags::WRITE)
}
