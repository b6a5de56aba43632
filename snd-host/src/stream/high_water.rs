//! Detects that a counter has grown.

/// The value that a counter had at the last call. The counter never falls.
#[derive(Debug, Default)]
pub(super) struct HighWater(u64);

impl HighWater {
    /// Takes the current value of the counter. Returns whether the counter has grown since the last
    /// call.
    pub(super) const fn has_grown(&mut self, value: u64) -> bool {
        let grown = value > self.0;
        self.0 = value;
        grown
    }
}
