//! The plain calls that a burst on a packed queue makes.

use crate::chain::{Chain, Collector, Token};
use crate::error::{AddError, CompleteError, PopError, Violation};
use crate::gathering::Gathered;
use crate::memory::Memory;
use crate::packed::{DeviceQueue, DriverQueue};
use crate::segment::Segment;
use crate::slots::driver::Used;
use crate::slots::{device, driver};

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

    /// Takes back the next used buffer.
    #[cold]
    #[inline(never)]
    pub(super) fn reap_in_burst(&mut self) -> Result<Option<Used<T>>, Violation> {
        self.end_burst();
        let reaped = self.reap();
        self.begin_burst();
        reaped
    }
}

/// Chains and tokens are passed as numbers, so that the burst keeps them in registers.
impl<M: Memory, S: device::Slots> DeviceQueue<M, S> {
    /// Takes the next available chain. Returns the numbers of readable segments and of all
    /// segments, and the token.
    #[cold]
    #[inline(never)]
    pub(super) fn pop_in_burst(
        &mut self,
        segments: &mut [Segment],
    ) -> Result<Option<(usize, usize, Token)>, PopError> {
        self.end.end_burst();
        let popped = self.pop(segments);
        self.end.begin_burst();
        let Some(Chain { readable, writable, token }) = popped? else { return Ok(None) };
        Ok(Some((readable.len(), readable.len() + writable.len(), token)))
    }

    /// Collects the segments of an indirect table. Returns `None` if the table breaks a rule, or
    /// does not fit the storage.
    #[inline(never)]
    pub(super) fn gather_in_burst(&self, table: Segment, segments: &mut [Segment]) -> Option<Gathered> {
        let mut collector = Collector::new(segments);
        self.walk_table(table, &mut collector).ok()?;
        collector.finish(1).ok()?.gathered()
    }

    /// Stages a used chain.
    #[cold]
    #[inline(never)]
    pub(super) fn complete_in_burst(&mut self, token: (u64, u64), written: u32) -> Result<(), CompleteError> {
        self.end.end_burst();
        let completed = self.complete(Token::from_words(token), written);
        self.end.begin_burst();
        completed
    }
}
