//! When to notify the other side, and how to fall asleep without missing its notification.
//!
//! All four ends do the same two things, each of which is a store followed by a load of what the other
//! side stores:
//!
//! | | this side stores | fence | then loads |
//! |---|---|---|---|
//! | **publish** | its progress (`idx`, or a descriptor's flags) | [`fence`](crate::memory::Memory::fence) | the other side's wish to be notified |
//! | **arm** | its wish to be notified | [`fence`](crate::memory::Memory::fence) | the other side's progress |
//!
//! One side publishes while the other arms. Without the fences each load may run ahead of the store
//! before it: the publisher sees the old wish and stays silent, the sleeper sees the old progress and
//! sleeps, and the queue hangs with work in it. With a fence on *both* sides at least one of the two
//! loads sees the other's store. Release and Acquire do not give that, on any hardware; so these are the
//! only places where the rings ask for a fence, one for each publish and each arm, never one for each
//! buffer.
//!
//! (VIRTIO 1.4: 2.7.13.4.1 "Driver Requirements: Notifying The Device" and 2.8.21.3.1 "Driver Requirements:
//! Sending Available Buffer Notifications"; the device's side mirrors them.)

/// Whether the other side has to be notified of what was just published.
///
/// Exhaustive, because a notification is either sent or not.
#[must_use = "the other side may be asleep: notify it if this says so"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Notify it.
    Needed,
    /// It does not want to be notified, or there was nothing to publish.
    NotNeeded,
}

impl Notify {
    /// Whether to notify.
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Needed)
    }

    pub(crate) const fn needed_if(needed: bool) -> Self {
        if needed { Self::Needed } else { Self::NotNeeded }
    }
}

/// What came of asking to be notified.
///
/// Exhaustive, because the caller either may sleep or may not.
#[must_use = "if something is pending already, no notification will come for it"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// There is nothing to do, and the other side will notify: it is safe to sleep. A queue that is suspended or
    /// broken says so, too: nothing will come from it until it is resumed or reset.
    Armed,
    /// Something arrived meanwhile, for which no notification may come: go on working.
    Pending,
}

/// Whether an event at `event` is due, now that an index has moved from `old` to `new`.
///
/// All three are free-running and `new` is at most 2^15 ahead of `old` (VIRTIO 1.4, 2.7.7.2 "Device
/// Requirements: Used Buffer Notification Suppression", and 2.7.10.1 for the driver).
#[inline]
pub(crate) const fn need_event(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// What a side has already told the other one about.
///
/// The decision whether to notify depends on everything that was published since the last decision, so
/// it has to be remembered. After a resume nothing is known, and the next decision is to notify.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unannounced {
    /// Published since the last decision, in index steps; `None` if unknown or too much to count.
    count: Option<u16>,
}

impl Unannounced {
    /// Nothing has been published yet.
    pub(crate) const fn nothing() -> Self {
        Self { count: Some(0) }
    }

    /// Unknown: some other process may have published without a notification.
    pub(crate) const fn unknown() -> Self {
        Self { count: None }
    }

    /// Notes `count` more steps, at most 2^15 of them.
    #[inline]
    pub(crate) const fn add(&mut self, count: u16) {
        self.count = match self.count {
            // Over 2^15 the comparison of wrapping indices is no longer meaningful.
            Some(before) if before as u32 + count as u32 <= 1 << 15 => Some(before + count),
            _ => None,
        };
    }

    /// Takes the count for a decision.
    #[inline]
    pub(crate) const fn take(&mut self) -> Option<u16> {
        self.count.replace(0)
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
