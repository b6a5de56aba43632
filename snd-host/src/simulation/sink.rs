//! A sink with a clock of its own, and the audio process that uses it.

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
    pub(super) kind: FaultKind,
}

/// Why a sink does not play.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// The sink stalls.
    Stalls,
    /// The sink reports an error and has to be opened again.
    Fails,
    /// There is no audio process.
    NoProcess,
}

impl Plan {
    fn has(&self, now: u64, kind: FaultKind) -> bool {
        self.faults.iter().any(|fault| fault.kind == kind && (fault.at..fault.at + fault.ms).contains(&now))
    }

    /// Returns whether there is an audio process.
    pub(super) fn has_process(&self, now: u64) -> bool {
        !self.has(now, FaultKind::NoProcess)
    }

    /// Returns whether the sink can be used.
    pub(super) fn exists(&self, now: u64) -> bool {
        now >= self.opens && !self.has(now, FaultKind::Fails) && self.has_process(now)
    }

    /// Returns whether the sink's clock moves.
    pub(super) fn moves(&self, now: u64) -> bool {
        !self.has(now, FaultKind::Stalls)
    }

    /// Returns how far the sink's clock moves in a number of milliseconds, in nanoseconds.
    pub(super) fn nanos(&self, ms: u64) -> u64 {
        ms * u64::try_from(1_000_000 + self.drift * 100).unwrap()
    }

    /// Returns when a fault begins or ends next, or the sink can be opened for the first time.
    pub(super) fn next_change(&self, now: u64) -> Option<u64> {
        let faults = self.faults.iter().flat_map(|fault| [fault.at, fault.at + fault.ms]);
        faults.chain([self.opens]).filter(|at| *at > now).min()
    }
}
