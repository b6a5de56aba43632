//! Buffers as both formats present them: segments, chains, and the token that completes one.

use core::slice;

use crate::error::Violation;

/// A piece of a buffer: `len` bytes at `address`.
///
/// Whether the device may write it follows from where it stands: the readable segments of a buffer come
/// first, then the writable ones (VIRTIO 1.4, 2.7.4.2 "Driver Requirements: Message Framing" and 2.8.17
/// "Driver Requirements: Scatter-Gather Support").
///
/// Exhaustive, because an address and a length are all that a descriptor says of a buffer.
#[doc(alias("element", "iovec", "scatterlist"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Address of the first byte, as the two sides exchange it.
    pub address: u64,
    /// Length in bytes.
    pub len: u32,
}

impl Segment {
    /// `len` bytes at `address`.
    #[must_use]
    pub const fn new(address: u64, len: u32) -> Self {
        Self { address, len }
    }

    /// Returns the total length of `segments` in bytes.
    #[must_use]
    pub fn total(segments: &[Self]) -> u64 {
        segments.iter().map(|segment| u64::from(segment.len)).sum()
    }

    /// Whether it lies in the address space to its end.
    #[inline]
    pub(crate) fn check(self) -> Result<(), Violation> {
        match self.address.checked_add(self.len.into()) {
            Some(_) => Ok(()),
            None => self.check_end(),
        }
    }

    /// The same for one that reaches the end of the address space: the last byte may be the last address.
    #[cold]
    fn check_end(self) -> Result<(), Violation> {
        let Self { address, len } = self;
        match address.wrapping_add(len.into()) {
            0 => Ok(()),
            _ => Err(Violation::AddressOverflow { address, len }),
        }
    }
}

/// The right to complete one chain, exactly once.
///
/// Only `pop` makes tokens, and `adopt` where a device [goes on for another](crate::recovery); `complete` and
/// `unpop` consume them. A token that has outlived a reset of its queue is
/// refused. A token knows its chain, but not its queue: it is for the caller to keep those of several queues
/// apart. Dropping a token leaks the driver's buffer until the queue is reset.
#[must_use = "the driver waits for this chain: complete it"]
#[derive(Debug, PartialEq, Eq)]
pub struct Token {
    /// Which chain it is, counting all that this queue has ever taken. Never 0.
    pub(crate) serial: u64,
    /// Where the chain began in the driver's order: an index (split), or a cursor's bits (packed).
    pub(crate) start: u16,
    /// Split: the head's index in the descriptor area. Packed: the buffer id.
    pub(crate) id: u16,
    /// Bytes that the device may write, in all; saturated at `u32::MAX`.
    pub(crate) writable: u32,
    /// Whether that is all of them: a chain that does not fit the storage is not read to its end.
    pub(crate) whole: bool,
}

impl Token {
    /// How many bytes of the chain the device may write; the most that `complete` accepts. Of a chain that did
    /// not fit the storage it is what was read of it, which may be less.
    #[must_use]
    pub const fn writable(&self) -> u32 {
        self.writable
    }

    /// Whether so many bytes are all that the driver gave room for.
    #[inline]
    pub(crate) const fn is_full(&self, written: u32) -> bool {
        self.whole && written == self.writable
    }
}

/// A chain in flight, as a record that outlives the device that took it: with it another device can
/// [adopt](DeviceQueue::adopt) the chain. The segments are not in it; whoever keeps the record keeps them, too.
///
/// Exhaustive, because a journal stores each field and makes the record from them again: a new field must
/// not be forgotten there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainRecord {
    /// The number of the chain: higher than that of any taken before. Never 0.
    pub serial: u64,
    /// Bytes that the device may write, in all; saturated at `u32::MAX`. 0 for a chain that did not fit the storage
    /// lent to `pop`, which the next device can only return unused.
    pub writable: u32,
    /// The head's index in the descriptor area (split), or the buffer id (packed).
    pub id: u16,
    /// Descriptors that it takes up in the ring; at least 1.
    pub count: u16,
}

/// A buffer that the driver has made available, read once and checked whole.
///
/// Its segments lie in storage that the caller lent to `pop`. They are a private copy: nothing that the
/// driver does to shared memory afterwards changes them. That the *addresses* are shared memory is not
/// checked here, but when they are accessed.
#[derive(Debug, PartialEq, Eq)]
pub struct Chain<'s> {
    readable: &'s [Segment],
    writable: &'s [Segment],
    token: Token,
}

impl<'s> Chain<'s> {
    /// What the device may read, in order.
    #[must_use]
    pub const fn readable(&self) -> &'s [Segment] {
        self.readable
    }

    /// What the device may write, in order.
    #[must_use]
    pub const fn writable(&self) -> &'s [Segment] {
        self.writable
    }

    /// Gives up the segments for the right to complete the chain.
    pub fn into_token(self) -> Token {
        self.token
    }
}

/// What a chain's descriptors say, held to the rules that both formats share.
#[derive(Debug)]
pub(crate) struct Contents<'s> {
    /// The readable and the writable segments, if the storage could hold all of them.
    segments: Option<(&'s [Segment], &'s [Segment])>,
    /// Bytes that the device may write, in all; saturated at `u32::MAX`.
    writable: u32,
    /// Descriptors that the chain takes up in the ring.
    pub(crate) count: u16,
}

impl<'s> Contents<'s> {
    /// Those of a chain of one descriptor.
    #[inline]
    pub(crate) fn one(storage: &'s mut [Segment], only: Segment, writable: bool) -> Result<Self, Violation> {
        only.check()?;
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

    /// The chain that has these contents; its token alone if the storage was too small.
    #[inline]
    pub(crate) fn into_chain(self, id: u16, serial: u64, start: u16) -> Result<Chain<'s>, Token> {
        let Self { segments, writable, .. } = self;
        let token = Token { serial, start, id, writable, whole: segments.is_some() };
        match segments {
            Some((readable, writable)) => Ok(Chain { readable, writable, token }),
            None => Err(token),
        }
    }
}

/// VIRTIO 1.4, 2.7.5.2 "Driver Requirements: The Virtqueue Descriptor Table": no chain is longer in all.
pub(crate) const MAX_CHAIN_BYTES: u64 = 1 << 32;

/// A number of bytes as completions have it.
#[inline]
pub(crate) fn saturate(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Takes up descriptors one by one.
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

    /// Takes up one more segment. Those that do not fit are counted and checked, but not kept.
    #[inline]
    pub(crate) fn push(&mut self, segment: Segment, writable: bool) -> Result<(), Violation> {
        segment.check()?;
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

    /// Whether there were more segments than the storage holds.
    #[inline]
    pub(crate) fn overflowed(&self) -> bool {
        self.count > self.storage.len()
    }

    /// What has been taken up, for a chain that takes up `count` descriptors in the ring.
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
