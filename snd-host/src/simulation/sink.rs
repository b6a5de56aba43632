//! A sink with a clock of its own.

/// The events of a sink; times are in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// When the sink can be opened for the first time.
    pub(super) opens: u64,
    /// How long the sink takes from the first PLAYING until it plays.
    pub(super) plays: u64,
    /// How much faster the sink's clock is than the host's clock, in ten-thousandths.
    pub(super) drift: i32,
    pub(super) faults: Vec<Fault>,
}

/// A time in which the sink does not play.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) at: u64,
    pub(super) ms: u64,
    /// Whether the sink reports an error and has to be opened again. Otherwise it stalls.
    pub(super) gone: bool,
}

impl Plan {
    fn fault(&self, now: u64, gone: bool) -> bool {
        self.faults.iter().any(|fault| fault.gone == gone && (fault.at..fault.at + fault.ms).contains(&now))
    }

    /// Returns whether the sink can be used.
    pub(super) fn exists(&self, now: u64) -> bool {
        now >= self.opens && !self.fault(now, true)
    }

    /// Returns how far the sink's clock moves in this millisecond, in nanoseconds.
    pub(super) fn moves(&self, now: u64) -> u64 {
        if self.fault(now, false) { 0 } else { u64::try_from(1_000_000 + self.drift * 100).unwrap() }
    }
}
