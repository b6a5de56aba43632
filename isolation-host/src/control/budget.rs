//! How long the VMM waits for the device.

use std::time::Duration;

/// The time for which this process may still wait for replies of the device before it serves the
/// VMM again.
///
/// The budget is filled when no message of the VMM is waiting, and all later waits are subtracted.
/// So a message that arrives during a wait does not wait longer than the total either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    total: Duration,
    left: Duration,
}

impl Budget {
    /// Makes a full budget.
    pub(super) const fn new(total: Duration) -> Self {
        Self { total, left: total }
    }

    /// Returns how long the next wait may be.
    pub(super) const fn left(&self) -> Duration {
        self.left
    }

    /// Subtracts a wait from the budget.
    pub(super) const fn spend(&mut self, waited: Duration) {
        self.left = self.left.saturating_sub(waited);
    }

    /// Fills the budget, because no message of the VMM is waiting.
    pub(super) const fn refill(&mut self) {
        self.left = self.total;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOTAL: Duration = Duration::from_secs(1);

    proptest! {
        /// In virtual time: the VMM sends messages at any time, and each of them leads to requests
        /// that the device answers after any time.
        #[test]
        fn no_message_of_the_vmm_waits_longer_than_the_budget(
            messages in prop::collection::vec((0u64..3000, prop::collection::vec(0u64..20_000, 0..8)), 1..40),
        ) {
            let mut budget = Budget::new(TOTAL);
            let (mut now, mut arrived) = (Duration::ZERO, Duration::ZERO);
            for (gap, answers) in messages {
                arrived += Duration::from_millis(gap);
                if now < arrived {
                    // The process sleeps until the message arrives.
                    budget.refill();
                    now = arrived;
                }
                let begun = now;
                for answer in answers {
                    let wait = Duration::from_millis(answer).min(budget.left());
                    budget.spend(wait);
                    now += wait;
                }
                prop_assert!(now - begun <= TOTAL);
                prop_assert!(now - arrived <= TOTAL);
            }
        }
    }
}
