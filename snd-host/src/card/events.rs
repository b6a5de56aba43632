//! Notifications from the device to the guest.

use std::collections::VecDeque;

use zerocopy::IntoBytes;

use crate::spec::{CtlEvent, Event, event};

/// The largest number of events that are kept until the driver adds buffers to the event queue. If
/// there are more, the oldest events are dropped, because newer events describe the current state.
const MAX_WAITING: usize = 64;

/// Events that were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Events(VecDeque<[u8; EVENT_BYTES]>);

/// Size of an event of either kind.
const EVENT_BYTES: usize = size_of::<Event>();
const _: () = assert!(EVENT_BYTES == size_of::<CtlEvent>());

impl Events {
    /// Adds an underrun or overrun of stream number `stream`.
    pub(crate) fn xrun(&mut self, stream: usize) {
        // There are far fewer than 2^32 streams.
        let data = u32::try_from(stream).unwrap_or(u32::MAX).into();
        self.push(Event { code: event::PCM_XRUN.into(), data }.as_bytes());
    }

    /// Adds a new value of control element number `control`.
    pub(crate) fn value_changed(&mut self, control: u16) {
        let event = CtlEvent {
            code: event::CTL_NOTIFY.into(),
            control_id: control.into(),
            mask: event::CTL_VALUE.into(),
        };
        self.push(event.as_bytes());
    }

    /// Adds an event, unless the same event waits already.
    fn push(&mut self, event: &[u8]) {
        let Ok(event) = event.try_into() else { return };
        if self.0.contains(&event) {
            return;
        }
        if self.0.len() == MAX_WAITING {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the oldest event out.
    pub(crate) fn pop(&mut self) -> Option<[u8; EVENT_BYTES]> {
        self.0.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_out_in_order_and_in_the_standard_layout() {
        let mut events = Events::default();
        events.xrun(3);
        events.value_changed(2);
        assert_eq!(events.pop(), Some([0x01, 0x11, 0, 0, 3, 0, 0, 0]));
        assert_eq!(events.pop(), Some([0x00, 0x12, 0, 0, 2, 0, 1, 0]));
        assert!(events.is_empty());
    }

    #[test]
    fn waiting_events_are_unique_and_bounded() {
        let mut events = Events::default();
        (0..2).for_each(|_| events.xrun(1));
        assert!(events.pop().is_some() && events.pop().is_none());
        (0..1000).for_each(|stream| events.xrun(stream));
        let waiting = std::iter::from_fn(|| events.pop());
        assert!(
            waiting.map(|event| event[4..6].to_vec()).eq((936u16..1000).map(|id| id.to_le_bytes().to_vec()))
        );
    }
}
