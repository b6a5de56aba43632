//! What a buffer takes up in a queue.

/// The last slot and the number of descriptors of a buffer, in one word. The compiler would combine
/// two fields of 16 bits with the fields beside them, which takes more instructions than it saves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span(u32);

impl Span {
    #[inline]
    pub(super) const fn new(last: u16, count: u16) -> Self {
        Self(last as u32 | (count as u32) << 16)
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub(super) const fn last(self) -> u16 {
        self.0 as u16
    }

    #[inline]
    pub(super) const fn count(self) -> u16 {
        (self.0 >> 16) as u16
    }
}
