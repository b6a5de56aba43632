//! The plain calls that a burst on a split queue makes.

use crate::chain::{Chain, Token};
use crate::error::{AddError, CompleteError, PopError, Violation};
use crate::gathering::Gathered;
use crate::memory::Memory;
use crate::segment::Segment;
use crate::slots::driver::Used;
use crate::slots::{device, driver};
use crate::split::layout::Descriptor;
use crate::split::{DeviceQueue, DriverQueue};

/// The burst has put its values back.
impl<M: Memory, S: driver::Slots<T>, T> DriverQueue<M, S, T> {
    /// Stages a buffer.
    #[cold]
    #[inline(never)]
    pub(super) fn add_in_burst(
        &mut self,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        self.end_burst();
        let added = self.add(readable, writable, cookie);
        self.begin_burst();
        added
    }

    /// Takes back the next used buffer. A burst looks at the device's index only once.
    #[cold]
    #[inline(never)]
    pub(super) fn reap_in_burst(&mut self) -> Result<Option<Used<T>>, Violation> {
        self.end_burst();
        let reaped = if self.end.may_take_in_burst() { self.reap() } else { Ok(None) };
        self.begin_burst();
        reaped
    }
}

/// Chains and tokens are passed as numbers, so that the burst keeps them in registers.
impl<M: Memory, S: device::Slots> DeviceQueue<M, S> {
    /// Takes the next available chain. A burst looks at the driver's index only once. Returns the
    /// numbers of readable segments and of all segments, and the token.
    #[cold]
    #[inline(never)]
    pub(super) fn pop_in_burst(
        &mut self,
        segments: &mut [Segment],
    ) -> Result<Option<(usize, usize, Token)>, PopError> {
        if !self.end.may_take_in_burst() {
            return Ok(None);
        }
        let Some(Chain { readable, writable, token }) = self.pop(segments)? else { return Ok(None) };
        Ok(Some((readable.len(), readable.len() + writable.len(), token)))
    }

    /// Collects the segments of a whole chain; `None` if the chain breaks a rule, or does not fit
    /// the storage.
    #[inline(never)]
    pub(super) fn gather_in_burst(&self, first: Descriptor, segments: &mut [Segment]) -> Option<Gathered> {
        self.gather(first, segments).ok()?.gathered()
    }

    /// Stages a used chain.
    #[cold]
    #[inline(never)]
    pub(super) fn complete_in_burst(&mut self, token: (u64, u64), written: u32) -> Result<(), CompleteError> {
        self.complete(Token::from_words(token), written)
    }
}
