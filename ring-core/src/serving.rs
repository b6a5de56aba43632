//! Serving a chain that a burst takes by the plain call.

use crate::chain::{Chain, Token};
use crate::error::PopError;
use crate::segment::Segment;

/// Lets `work` handle the chain that `pop` takes. Returns the chain's token, and the number of
/// bytes written, which is at most the number of writable bytes; `None` if there was no chain.
#[inline(always)]
pub(crate) fn serve_popped(
    segments: &mut [Segment],
    work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    pop: impl for<'s> FnOnce(&'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError>,
) -> Result<Option<(Token, u32)>, PopError> {
    // As in the fast path, a chain of one segment needs no storage of the caller.
    let mut only = [Segment::default()];
    let segments = if segments.is_empty() { &mut only } else { segments };
    let Some(chain) = pop(segments)? else { return Ok(None) };
    let written = work(chain.readable(), chain.writable());
    let token = chain.into_token();
    let written = written.min(token.writable());
    Ok(Some((token, written)))
}
