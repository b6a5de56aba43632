//! The positions at which the device has stopped its queues.

use std::collections::BTreeMap;

use ring_core::Position;

use crate::limits::MAX_QUEUES;
use crate::protocol::payload::VringState;

/// The positions of stopped queues, by the queue's index.
#[derive(Debug, Default)]
pub(super) struct Positions(BTreeMap<u32, Position>);

impl Positions {
    /// Records the device's reply to `GET_VRING_BASE`.
    ///
    /// Uses only the available position, which every device replies. Many devices cut off the used
    /// position of a packed queue, and the used position is not needed, because the next ring
    /// starts without requests in flight.
    #[expect(clippy::cast_possible_truncation, reason = "the available position has 16 bits")]
    pub(super) fn record(&mut self, VringState { index, num }: VringState) {
        // A device that replies for other queues must not fill the memory.
        if index < MAX_QUEUES.into() {
            self.0.insert(index, Position::quiescent(num as u16));
        }
    }

    /// Returns the position at which the device has stopped a queue, if it has stopped the queue.
    pub(super) fn get(&self, index: u32) -> Option<Position> {
        self.0.get(&index).copied()
    }

    /// Forgets all positions, because the device has forgotten its queues.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_the_available_ones_of_queues_that_can_exist() {
        let mut positions = Positions::default();
        for (index, num) in [(0, 5), (255, 0x0002_8003), (256, 7), (u32::MAX, 7)] {
            positions.record(VringState { index, num });
        }
        assert_eq!(positions.get(0), Some(Position::quiescent(5)));
        assert_eq!(positions.get(255), Some(Position::quiescent(0x8003)));
        assert_eq!((positions.get(256), positions.0.len()), (None, 2));
        positions.clear();
        assert_eq!(positions.get(0), None);
    }
}
