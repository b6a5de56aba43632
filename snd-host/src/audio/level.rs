//! How loud a stream is.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The level of a stream, which may change at any time.
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

// Nothing but the numbers themselves goes from one thread to another, so that `Relaxed` will do.
impl Level {
    pub(crate) fn set_gain(&self, gain: f64) {
        self.gain.store(gain.to_bits(), Ordering::Relaxed);
    }

    pub(crate) fn set_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// What samples are multiplied with.
    pub(crate) fn gain(&self) -> f64 {
        if self.on.load(Ordering::Relaxed) { f64::from_bits(self.gain.load(Ordering::Relaxed)) } else { 0.0 }
    }
}
