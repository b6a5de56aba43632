//! What a driver end guarantees, whatever the device does.

use std::collections::BTreeMap;

use ring_core::driver::Used;
use ring_core::{AddError, Notify, Segment, Violation};

/// The state with which the results of a driver end are checked.
#[derive(Debug, Default)]
pub(super) struct DriverGuarantees {
    /// Whether the end has reported a violation.
    pub(super) broken: bool,
    /// The buffers in flight, by cookie: the writable bytes, and whether the buffer is published.
    pub(super) buffers: BTreeMap<u64, (u32, bool)>,
    next_cookie: u64,
}

impl DriverGuarantees {
    /// Returns a cookie that no other buffer has.
    pub(super) const fn cookie(&mut self) -> u64 {
        self.next_cookie += 1;
        self.next_cookie
    }

    /// Checks the result of adding a buffer.
    pub(super) fn added(&mut self, cookie: u64, writable: &[Segment], result: Result<u16, AddError<u64>>) {
        match result {
            Ok(_) => {
                assert!(!self.broken, "a broken end accepts a buffer");
                let room = writable.iter().map(|segment| segment.len).sum();
                self.buffers.insert(cookie, (room, false));
            }
            Err(error) => assert_eq!(error.cookie, cookie),
        }
    }

    /// Checks the result of publishing.
    pub(super) fn published(&mut self, answer: Notify) {
        assert!(!(self.broken && answer.is_needed()), "a broken end notifies");
        if !self.broken {
            self.buffers.values_mut().for_each(|(_, published)| *published = true);
        }
    }

    /// Checks the result of taking back a used buffer.
    pub(super) fn reaped(&mut self, result: Result<Option<Used<u64>>, Violation>) {
        match result {
            Ok(None) => {}
            Ok(Some(used)) => {
                assert!(!self.broken, "a broken end returns nothing");
                let buffer = self.buffers.remove(&used.cookie);
                let Some((room, true)) = buffer else { panic!("{used:?} was {buffer:?}") };
                assert!(used.written <= room, "{used:?} has room for {room}");
            }
            Err(violation) => {
                assert!(!self.broken, "{violation} was reported again");
                self.broken = true;
            }
        }
    }

    /// Checks the number of buffers that the end reports as in flight.
    pub(super) fn in_flight(&self, in_flight: u16) {
        assert_eq!(usize::from(in_flight), self.buffers.len());
    }
}
