//! Event suppression structures (VIRTIO 1.4, 2.8.10 "Driver and Device Event Suppression" and
//! 2.8.14 "Event Suppression Structure Format").
//!
//! The driver area and the device area each hold one structure: `desc`, a cursor, and `flags`. The
//! two fields form one aligned 32-bit word. So a side that sees a new position also sees the new
//! mode, never a mixture.

use crate::index::{Cursor, QueueSize};
use crate::memory::{Area, Load, Store};
use crate::notify::need_event;

/// `RING_EVENT_FLAGS_ENABLE`: notify of every buffer.
const ENABLE: u32 = 0;
/// `RING_EVENT_FLAGS_DISABLE`: do not notify.
const DISABLE: u32 = 1;
/// `RING_EVENT_FLAGS_DESC`: notify of the descriptor at a cursor.
const DESC: u32 = 2;

/// Asks the other side to notify: when it reaches `cursor` if there is one, else of every buffer.
#[inline]
pub(super) fn enable(area: &impl Area, cursor: Option<Cursor>) {
    let word = cursor.map_or(ENABLE << 16, |cursor| DESC << 16 | u32::from(cursor.bits()));
    area.store(0, word, Store::Relaxed);
}

/// Asks the other side not to notify.
#[inline]
pub(super) fn disable(area: &impl Area) {
    area.store(0, DISABLE << 16, Store::Relaxed);
}

/// Returns whether the other side asks to be notified of any of the last `count` descriptors up to
/// `cursor`, which were published.
///
/// The caller has issued a fence between its last store of flags and this call.
#[inline]
pub(super) fn is_due(area: &impl Area, cursor: Cursor, count: u16, event_idx: bool, size: QueueSize) -> bool {
    let word: u32 = area.load(0, Load::Relaxed);
    match word >> 16 & 0b11 {
        DISABLE => false,
        DESC if event_idx => passed((word & 0xffff) as u16, cursor, count, size),
        // The fourth value is reserved; to notify is the safe interpretation.
        _ => true,
    }
}

/// Returns whether the last `count` descriptors up to `cursor` include the descriptor at `event`.
#[inline]
const fn passed(event: u16, cursor: Cursor, count: u16, size: QueueSize) -> bool {
    // Slots are counted from the start of the lap of `cursor`; `size` is subtracted for a slot of
    // the lap before.
    let lap_before = (event ^ cursor.bits()) & (1 << 15) != 0;
    let slot = event & !(1 << 15);
    let event = if lap_before { slot.wrapping_sub(size.get()) } else { slot };
    need_event(event, cursor.slot(), cursor.slot().wrapping_sub(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_due_exactly_when_its_descriptor_is_among_the_last_ones() {
        for n in [1, 2, 3, 4, 7] {
            let size = QueueSize::packed(n).unwrap();
            let laps: Vec<Cursor> = core::iter::successors(Some(Cursor::START), |c| Some(c.advance(1, size)))
                .take(2 * usize::from(n))
                .collect();
            for (old, from) in laps.iter().enumerate() {
                for count in 0..=n {
                    let to = from.advance(count, size);
                    for event in &laps {
                        let among = (0..usize::from(count)).any(|i| laps[(old + i) % laps.len()] == *event);
                        assert_eq!(
                            passed(event.bits(), to, count, size),
                            among,
                            "{n} {from:?} {count} {event:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn an_event_outside_the_ring_is_harmless() {
        let size = QueueSize::packed(3).unwrap();
        for event in 0..=u16::MAX {
            let _ = passed(event, Cursor::START, 3, size);
        }
    }

    extern crate std;
    use std::vec::Vec;
}
