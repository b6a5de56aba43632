//! Chains as both formats present them, and the token that completes a chain.

use core::slice;

use crate::chain_bounds::{MAX_CHAIN_BYTES, check_range, saturate};
use crate::error::Violation;
use crate::gathering::Gathered;
use crate::segment::Segment;

/// The right to complete one chain, exactly once.
///
/// ```text
///    DeviceQueue::pop, or
///    DeviceQueue::adopt
///            |
///            v
///       +---------+   DeviceQueue::complete   the chain is staged as used;
///       |         |-------------------------> DeviceQueue::publish returns it to the driver
///       |  Token  |
///       |         |   DeviceQueue::unpop      the chain is available again;
///       +---------+-------------------------> DeviceQueue::pop takes it with a new token
///         |  ^ |
///         |  | |  complete or unpop fails with CompleteError::TooManyBytes,
///         |  +-+  CompleteError::Suspended or CompleteError::NotNewest: the error holds the token
///         |
///         |  DeviceQueue::reset
///         v
///       +---------+   complete or unpop
///       |  stale  |-------------------------> CompleteError::Stale; the token is consumed
///       +---------+
/// ```
///
/// Only two calls make tokens: `pop`, and `adopt`, with which a device [takes over from another
/// device](crate::recovery). `complete` and `unpop` consume the token. A token does not know its
/// queue: the caller must not mix up the tokens of several queues. If a token is dropped, the
/// driver waits for the buffer until the queue is reset.
#[must_use = "the driver waits for this chain: complete it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// The number of the chain among all chains that this queue has ever taken; never 0.
    /// [`PARTIAL`] is set for a chain that did not fit the storage. The chain's slot has the same
    /// number.
    pub(crate) serial: u64,
    /// Where the chain starts in the driver's order: an index (split), or a cursor's bits (packed).
    pub(crate) start: u16,
    /// Split: the head's index in the descriptor area. Packed: the buffer id.
    pub(crate) id: u16,
    /// The number of bytes that the device may write; saturated at `u32::MAX`.
    pub(crate) writable: u32,
}

// Two registers: a token is passed by value.
const _: () = assert!(size_of::<Token>() == 16);

/// A bit in a token's serial: the chain was not read to its end, and `writable` counts only a part.
pub(crate) const PARTIAL: u64 = 1 << 62;

impl Token {
    /// Returns the number of bytes that the device may write to the chain, the largest number that
    /// `complete` accepts.
    ///
    /// For a chain that did not fit the storage, only the part that was read counts.
    #[must_use]
    pub const fn writable(&self) -> u32 {
        self.writable
    }

    /// Returns the token as two words, which are passed to a function in registers.
    #[inline]
    pub(crate) const fn into_words(self) -> (u64, u64) {
        let rest = self.writable as u64 | (self.start as u64) << 32 | (self.id as u64) << 48;
        (self.serial, rest)
    }

    /// Undoes [`into_words`](Self::into_words).
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub(crate) const fn from_words((serial, rest): (u64, u64)) -> Self {
        Self { serial, start: (rest >> 32) as u16, id: (rest >> 48) as u16, writable: rest as u32 }
    }

    /// Returns whether the whole chain was read and has no writable bytes.
    #[inline]
    pub(crate) const fn is_read_only(&self) -> bool {
        self.writable == 0 && self.serial & PARTIAL == 0
    }
}

/// A chain in flight, as a record that outlives the device that took it.
///
/// Another device [adopts](crate::DeviceQueue::adopt) the chain with this record. The record does
/// not contain the chain's segments; a journal stores the segments beside the record.
///
/// Exhaustive, because a journal stores each field and rebuilds the record from the fields: a
/// journal must not miss a new field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainRecord {
    /// The number of the chain: higher than that of any chain taken before. Never 0.
    pub serial: u64,
    /// The number of bytes that the device may write; saturated at `u32::MAX`.
    ///
    /// 0 for a chain that did not fit the storage lent to `pop`: the next device can only return it
    /// unused.
    pub writable: u32,
    /// The head's index in the descriptor area (split), or the buffer id (packed).
    pub id: u16,
    /// The number of descriptors that the chain takes up in the ring; at least 1.
    pub count: u16,
}

/// A buffer that the driver has made available, read once and checked completely.
///
/// The segments lie in the storage that the caller lent to `pop`. They are a private copy: the
/// driver cannot change them afterwards. Addresses are checked on access, not here.
#[derive(Debug, PartialEq, Eq)]
pub struct Chain<'s> {
    pub(crate) readable: &'s [Segment],
    pub(crate) writable: &'s [Segment],
    pub(crate) token: Token,
}

impl<'s> Chain<'s> {
    /// Returns the chain of one segment, which is put into `storage`.
    #[inline(always)]
    pub(crate) fn single(storage: &'s mut [Segment], only: Segment, is_writable: bool, token: Token) -> Self {
        let segments = storage.first_mut().map_or(&[][..], |first| {
            *first = only;
            slice::from_ref(first)
        });
        let (readable, writable) = if is_writable { (&[][..], segments) } else { (segments, &[][..]) };
        Self { readable, writable, token }
    }

    /// Returns the segments that the device may read, in order.
    #[must_use]
    pub const fn readable(&self) -> &'s [Segment] {
        self.readable
    }

    /// Returns the segments that the device may write, in order.
    #[must_use]
    pub const fn writable(&self) -> &'s [Segment] {
        self.writable
    }

    /// Gives up the segments, and returns the right to complete the chain.
    pub fn into_token(self) -> Token {
        self.token
    }
}

/// The contents of a chain's descriptors, checked against the rules that both formats share.
#[derive(Debug)]
pub(crate) struct Contents<'s> {
    /// The readable and the writable segments, if the storage could hold all of them.
    segments: Option<(&'s [Segment], &'s [Segment])>,
    /// The number of bytes that the device may write; saturated at `u32::MAX`.
    writable: u32,
    /// The number of descriptors that the chain takes up in the ring.
    pub(crate) count: u16,
}

impl<'s> Contents<'s> {
    /// Returns the contents of a chain of one descriptor.
    #[inline]
    pub(crate) fn one(storage: &'s mut [Segment], only: Segment, writable: bool) -> Result<Self, Violation> {
        check_range(only)?;
        let segments = storage.first_mut().map(|first| {
            *first = only;
            slice::from_ref(first)
        });
        Ok(if writable {
            Self { segments: segments.map(|only| (&[] as &[_], only)), writable: only.len, count: 1 }
        } else {
            Self { segments: segments.map(|only| (only, &[] as &[_])), writable: 0, count: 1 }
        })
    }

    /// Returns what the storage holds of the chain, if that is the whole chain.
    pub(crate) fn gathered(&self) -> Option<Gathered> {
        let (readable, segments) = self.segments?;
        let total = u16::try_from(readable.len() + segments.len()).ok()?;
        Some(Gathered { writable: self.writable, readable: u16::try_from(readable.len()).ok()?, total })
    }

    /// Returns the chain with these contents, or only its token if the storage was too small.
    #[inline]
    pub(crate) fn into_chain(self, id: u16, serial: u64, start: u16) -> Result<Chain<'s>, Token> {
        let Self { segments, writable, .. } = self;
        match segments {
            Some((readable, segments)) => {
                let token = Token { serial, start, id, writable };
                Ok(Chain { readable, writable: segments, token })
            }
            None => Err(Token { serial: serial | PARTIAL, start, id, writable }),
        }
    }
}

/// Collects the segments of a chain, one descriptor after the other.
#[derive(Debug)]
pub(crate) struct Collector<'s> {
    storage: &'s mut [Segment],
    count: usize,
    readable: usize,
    readable_bytes: u64,
    writable_bytes: u64,
}

impl<'s> Collector<'s> {
    pub(crate) fn new(storage: &'s mut [Segment]) -> Self {
        Self { storage, count: 0, readable: 0, readable_bytes: 0, writable_bytes: 0 }
    }

    /// Adds a segment. Segments that do not fit the storage are counted and checked, but not kept.
    #[inline]
    pub(crate) fn push(&mut self, segment: Segment, writable: bool) -> Result<(), Violation> {
        check_range(segment)?;
        if let Some(slot) = self.storage.get_mut(self.count) {
            *slot = segment;
        }
        // No chain has more than 2^32 descriptors, so the sums cannot overflow.
        if writable {
            self.writable_bytes += u64::from(segment.len);
        } else {
            if self.readable != self.count {
                return Err(Violation::ReadableAfterWritable { position: self.count });
            }
            self.readable += 1;
            self.readable_bytes += u64::from(segment.len);
        }
        self.count += 1;
        Ok(())
    }

    /// Returns whether there were more segments than the storage holds.
    #[inline]
    pub(crate) fn overflowed(&self) -> bool {
        self.count > self.storage.len()
    }

    /// Returns the contents of the chain, which takes up `count` descriptors in the ring.
    #[inline]
    pub(crate) fn finish(self, count: u16) -> Result<Contents<'s>, Violation> {
        let bytes = self.readable_bytes + self.writable_bytes;
        if bytes > MAX_CHAIN_BYTES {
            return Err(Violation::ChainBytes { bytes });
        }
        let storage: &'s [Segment] = self.storage;
        let segments = storage.get(..self.count).and_then(|all| all.split_at_checked(self.readable));
        Ok(Contents { segments, writable: saturate(self.writable_bytes), count })
    }
}
