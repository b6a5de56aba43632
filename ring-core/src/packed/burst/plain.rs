//! The plain calls that a burst at the device end of a packed queue makes.

use crate::chain::{Chain, Token};
use crate::error::{CompleteError, PopError};
use crate::memory::Memory;
use crate::packed::DeviceQueue;
use crate::segment::Segment;
use crate::slots::device::Slots;

/// Chains and tokens are passed as numbers, so that the burst keeps them in registers.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
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
