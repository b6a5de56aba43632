//! Reading an indirect table, by value.

use core::num::NonZeroU64;

use crate::gathering::Gathering;
use crate::memory::{Memory, Table as _};
use crate::packed::layout::{Control, DescriptorFlags};
use crate::segment::Segment;

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
    let mut index = 0;
    while index < size {
        let (segment, is_writable) = get(index)?;
        if is_writable {
            break;
        }
        gathering.push(segment)?;
        index += 1;
    }
    gathering.end_readable();
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
