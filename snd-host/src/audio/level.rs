//! The volume of a stream.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The level of a stream, which the guest can change at any time.
#[derive(Debug)]
pub(crate) struct Level {
    /// The bits of an `f64`.
    gain: AtomicU64,
    on: AtomicBool,
}

impl Default for Level {
    fn default() -> Self {
        Self { gain: AtomicU64::new(1f64.to_bits()), on: AtomicBool::new(true) }
    }
}

// No other memory is published with the values, so `Relaxed` is enough.
impl Level {
    pub(crate) fn set_gain(&self, gain: f64) {
        self.gain.store(gain.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Returns the factor that samples are multiplied with; 0 if the switch is off.
    pub(crate) fn gain(&self) -> f64 {
        if self.on.load(Ordering::Relaxed) { f64::from_bits(self.gain.load(Ordering::Relaxed)) } else { 0.0 }
    }
}
