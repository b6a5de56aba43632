//! The events that a worker waits for.

use crate::poller::Event;

/// An event of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueEvent {
    /// The control thread has marked queues of this worker as ready.
    Wake,
    /// The guest has notified the queue with this index.
    Kick(u16),
    /// The device has notified the queue with this index.
    Call(u16),
}

impl Event for QueueEvent {
    fn to_data(self) -> u64 {
        let (kind, index) = match self {
            Self::Wake => (0, 0),
            Self::Kick(index) => (1, index),
            Self::Call(index) => (2, index),
        };
        kind << 16 | u64::from(index)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are the index")]
    fn from_data(data: u64) -> Option<Self> {
        let index = data as u16;
        match data >> 16 {
            0 => Some(Self::Wake),
            1 => Some(Self::Kick(index)),
            2 => Some(Self::Call(index)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_survives_its_encoding() {
        for event in [QueueEvent::Wake, QueueEvent::Kick(0), QueueEvent::Kick(255), QueueEvent::Call(7)] {
            assert_eq!(QueueEvent::from_data(event.to_data()), Some(event));
        }
        assert_eq!(QueueEvent::from_data(u64::MAX), None);
    }
}
