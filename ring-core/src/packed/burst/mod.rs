//! Bursts on a packed queue: the calls for each buffer, with the positions held by value.
//!
//! A burst does the common case itself: a running queue that is not in order, chains in the queue's
//! own ring or in an indirect table, no rule broken. In every other case the burst writes its
//! positions back, makes the queue's plain call, and reads the positions again. So only the plain
//! calls report errors, and a burst has the same results as the plain calls.
//!
//! The address of a burst never reaches a function that is not inlined, so the compiler keeps the
//! positions in registers. At the driver end, the same holds for the accounts. What a burst only
//! counts stays in the queue, because an instruction adds to memory as well as to a register.

mod device;
mod driver;
mod gather;
mod plain;
mod staging;
mod taking;

pub use device::DeviceBurst;
pub use driver::DriverBurst;

use crate::index::Cursor;
use crate::memory::{Area, Memory};

use super::layout::{Control, DescriptorFlags};

/// A position in the descriptor area of a memory.
type WalkOf<M> = <<M as Memory>::Area as Area>::Walk;

/// The flags that change with each lap, in a control word.
const TURN: u64 = word(DescriptorFlags::AVAIL.union(DescriptorFlags::USED));

/// Returns a control word that consists of flags.
#[inline(always)]
const fn word(flags: DescriptorFlags) -> u64 {
    Control { len: 0, id: 0, flags }.to_word()
}

/// Returns the cursor at `slot` on the lap whose descriptors have the flags `turn`. In an available
/// descriptor and in a used one, `AVAIL` is the wrap counter.
#[inline(always)]
const fn cursor(slot: u16, turn: u64) -> Cursor {
    Cursor::on_lap(slot, turn & word(DescriptorFlags::AVAIL) != 0)
}
