//! Buffers as both formats present them: segments, chains, and the token that completes one.

use crate::error::Violation;

/// A piece of a buffer: `len` bytes at `address`.
///
/// Whether the device may write it follows from where it stands: the readable segments of a buffer come
/// first, then the writable ones (VIRTIO 1.4, 2.7.4.2 "Driver Requirements: Message Framing" and 2.8.17
/// "Driver Requirements: Scatter-Gather Support").
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
}

/// The right to complete one chain, exactly once.
///
/// Only `pop` makes tokens; `complete` consumes them. A token that has outlived a reset of its queue is
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
/// [adopt](crate::Device::adopt) the chain. The segments are not in it; whoever keeps the record keeps them, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which chain it is, counting all that the queue has ever given. Never 0; the highest bit is clear.
    pub serial: u64,
    /// Bytes that the device may write, in all; saturated at `u32::MAX`.
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
    segments: &'s [Segment],
    readable: usize,
    token: Token,
}

impl<'s> Chain<'s> {
    /// What the device may read, in order.
    #[must_use]
    pub fn readable(&self) -> &'s [Segment] {
        // `readable` is at most the number of segments.
        self.segments.get(..self.readable).unwrap_or_default()
    }

    /// What the device may write, in order.
    #[must_use]
    pub fn writable(&self) -> &'s [Segment] {
        self.segments.get(self.readable..).unwrap_or_default()
    }

    /// Gives up the segments for the right to complete the chain.
    pub fn into_token(self) -> Token {
        self.token
    }
}

/// Takes up descriptors one by one and holds them to the rules that both formats share.
#[derive(Debug)]
pub(crate) struct Collector<'s> {
    storage: &'s mut [Segment],
    count: usize,
    readable: usize,
    bytes: u64,
    readable_bytes: u64,
}

/// VIRTIO 1.4, 2.7.5.2 "Driver Requirements: The Virtqueue Descriptor Table": no chain is longer in all.
pub(crate) const MAX_CHAIN_BYTES: u64 = 1 << 32;

impl<'s> Collector<'s> {
    pub(crate) fn new(storage: &'s mut [Segment]) -> Self {
        Self { storage, count: 0, readable: 0, bytes: 0, readable_bytes: 0 }
    }

    /// Takes up one more segment. Those that do not fit are counted and checked, but not kept.
    #[inline]
    pub(crate) fn push(&mut self, segment: Segment, writable: bool) -> Result<(), Violation> {
        let Segment { address, len } = segment;
        // A segment may end with the last address, so it is the last byte that must not overflow.
        if address.checked_add(u64::from(len.saturating_sub(1))).is_none() {
            return Err(Violation::AddressOverflow { address, len });
        }
        if !writable {
            if self.readable != self.count {
                return Err(Violation::ReadableAfterWritable { position: self.count });
            }
            self.readable += 1;
            self.readable_bytes += u64::from(len);
        }
        self.bytes += u64::from(len);
        if self.bytes > MAX_CHAIN_BYTES {
            return Err(Violation::ChainBytes { bytes: self.bytes });
        }
        if let Some(slot) = self.storage.get_mut(self.count) {
            *slot = segment;
        }
        self.count += 1;
        Ok(())
    }

    /// Whether there were more segments than the storage holds.
    #[inline]
    pub(crate) fn overflowed(&self) -> bool {
        self.count > self.storage.len()
    }

    /// The finished chain, or the token alone if the storage was too small.
    #[inline]
    pub(crate) fn finish(self, id: u16, serial: u64, start: u16) -> Result<Chain<'s>, Token> {
        let writable = u32::try_from(self.bytes - self.readable_bytes).unwrap_or(u32::MAX);
        let token = Token { serial, start, id, writable, whole: !self.overflowed() };
        let storage: &'s [Segment] = self.storage;
        match storage.get(..self.count) {
            Some(segments) => Ok(Chain { segments, readable: self.readable, token }),
            None => Err(token),
        }
    }
}
