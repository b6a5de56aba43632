//! The plain calls that a burst at the device end of a split queue makes.

use crate::chain::{Chain, Token};
use crate::error::{CompleteError, PopError};
use crate::memory::Memory;
use crate::segment::Segment;
use crate::slots::device::Slots;
use crate::split::DeviceQueue;

/// Chains and tokens are passed as numbers, so that the burst keeps them in registers.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Takes the next available chain for a burst, which looks at the driver's index only once.
    /// Returns the numbers of readable segments and of all segments, and the token.
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

    /// Stages a used chain for a burst.
    #[cold]
    #[inline(never)]
    pub(super) fn complete_in_burst(&mut self, token: (u64, u64), written: u32) -> Result<(), CompleteError> {
        self.complete(Token::from_words(token), written)
    }
}
