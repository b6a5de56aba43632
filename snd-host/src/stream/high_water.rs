//! A mark that detects the growth of a counter.

/// The largest value of a counter that was seen.
#[derive(Debug, Default)]
pub(super) struct HighWater(u64);

impl HighWater {
    /// Takes the current value of the counter. Returns whether it has grown since the last call.
    pub(super) const fn has_grown(&mut self, value: u64) -> bool {
        let grown = value > self.0;
        self.0 = value;
        grown
    }
}
