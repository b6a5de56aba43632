//! When to notify the other side, and how to sleep without missing its notification.
//!
//! All four ends perform the same two operations. Each operation consists of a store, and of a load
//! of what the other side stores:
//!
//! | | this end stores | then, after a fence, loads |
//! |---|---|---|
//! | **publish** | its progress: `idx`, or a descriptor's flags | the other side's request |
//! | **arm** | its request to be notified | the other side's progress |
//!
//! One side publishes while the other side arms. Without the fences, each load could be performed
//! before the store that precedes it. The publisher would see the old request and not notify, the
//! other side would see the old progress and sleep, and the queue would hang with unprocessed
//! buffers. With a [`fence`](crate::memory::Memory::fence) on *both* sides, at least one of the two
//! loads sees the other side's store. Release and Acquire do not guarantee this on any hardware. So
//! these two operations are the only places where the rings need a fence: one for each publish and
//! one for each arm, never one for each buffer.
//!
//! (VIRTIO 1.4, 2.7.13.4.1 "Driver Requirements: Notifying The Device" and 2.8.21.3.1 "Driver
//! Requirements: Sending Available Buffer Notifications". The device's side mirrors them.)

/// Whether the other side has to be notified of what was just published.
///
/// Exhaustive, because a notification is either sent or not.
#[must_use = "the other side may be asleep: notify it if this is `Needed`"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Notify the other side.
    Needed,
    /// Do not notify: the other side does not ask for it, or nothing was published.
    NotNeeded,
}

impl Notify {
    /// Returns whether to notify the other side.
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Needed)
    }

    pub(crate) const fn needed_if(needed: bool) -> Self {
        if needed { Self::Needed } else { Self::NotNeeded }
    }
}

/// The result of asking to be notified.
///
/// Only [`Armed`](Self::Armed) says that it is safe to sleep.
///
/// Exhaustive, because the caller has to react to each answer in its own way.
#[must_use = "only `Armed` says that a notification will come"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// It is safe to sleep: there is no work, and the other side will notify.
    Armed,
    /// It is not safe to sleep: work has arrived, and no notification may come for it. Continue
    /// working.
    Pending,
    /// It is not safe to sleep: this end has staged buffers that the other side cannot see yet. The
    /// request was not made. Publish, then call `arm` again.
    Unpublished,
    /// The queue is suspended or broken. The request was not made, and no notification will come
    /// until the queue is resumed or reset.
    Stopped,
}

/// When an end has asked the other side to notify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The end does not ask: it has found a buffer since its request, or has withdrawn the request.
    Withdrawn,
    /// For the next buffer, or for a later one.
    Next,
    /// For every buffer.
    Always,
}

/// Returns whether an event at `event` is due, after an index has moved from `old` to `new`.
///
/// All three values are free-running, and `new` is at most 2^15 ahead of `old` (VIRTIO 1.4, 2.7.7.2
/// "Device Requirements: Used Buffer Notification Suppression", and for the driver 2.7.10.1 "Driver
/// Requirements: Available Buffer Notification Suppression").
#[inline]
pub(crate) const fn need_event(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// How much an end has published since it last decided whether to notify.
///
/// The decision depends on everything that was published since the last decision, so the amount has
/// to be remembered. After a resume the amount is unknown, and the next decision is to notify.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unannounced {
    /// The index steps that were published since the last decision. Above [`MOST`](Self::MOST) if
    /// the number is unknown, or too large for the comparison.
    count: u16,
}

impl Unannounced {
    /// Above this number of steps, the comparison of wrapping indices is meaningless.
    const MOST: u16 = 1 << 15;

    /// Nothing has been published yet.
    pub(crate) const fn nothing() -> Self {
        Self { count: 0 }
    }

    /// The amount is unknown: another process may have published without notifying.
    pub(crate) const fn unknown() -> Self {
        Self { count: u16::MAX }
    }

    /// Adds `count` steps. `count` is at most 2^15.
    #[inline]
    pub(crate) const fn add(&mut self, count: u16) {
        self.count = self.count.saturating_add(count);
    }

    /// Returns the amount for a decision, and starts again from zero.
    #[inline]
    pub(crate) const fn take(&mut self) -> Option<u16> {
        let count = core::mem::replace(&mut self.count, 0);
        if count <= Self::MOST { Some(count) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_due_exactly_when_the_index_has_just_passed_it() {
        for old in [0u16, 1, 5, 32767, 32768, 65530, 65535] {
            for step in (0..=300u16).chain([32767, 32768]) {
                let new = old.wrapping_add(step);
                for event in 0..=u16::MAX {
                    let passed = event.wrapping_sub(old) < step;
                    assert_eq!(need_event(event, new, old), passed, "{event} {new} {old}");
                }
            }
        }
    }

    #[test]
    fn more_than_half_the_index_range_unannounced_counts_as_unknown() {
        let mut unannounced = Unannounced::nothing();
        unannounced.add(1 << 15);
        assert_eq!(unannounced.take(), Some(1 << 15));
        unannounced.add(1 << 15);
        unannounced.add(1);
        assert_eq!(unannounced.take(), None);
        assert_eq!(unannounced.take(), Some(0));
    }
}
