//! What a queue is, without rings: buffers that go from list to list, and two sides that sleep and wake.

use std::collections::VecDeque;

use ring_core::{Features, Notify, Position, Segment, Token};

/// A buffer, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) cookie: u64,
    pub(crate) readable: Vec<Segment>,
    pub(crate) writable: Vec<Segment>,
    /// Where its table of descriptors is, if it has one.
    pub(crate) table: Option<u64>,
}

impl Buffer {
    pub(crate) fn segments(&self) -> usize {
        self.readable.len() + self.writable.len()
    }

    /// Descriptors of the queue that it takes up.
    pub(crate) fn count(&self) -> u64 {
        if self.table.is_some() { 1 } else { self.segments() as u64 }
    }

    /// Bytes that the device may write.
    pub(crate) fn room(&self) -> u32 {
        self.writable.iter().map(|segment| segment.len).sum()
    }
}

/// A buffer that the device has taken.
#[derive(Debug)]
pub(crate) struct ChainRecord {
    pub(crate) buffer: Buffer,
    /// The right to complete it; or, while it waits for its turn, the bytes that were written.
    pub(crate) state: Result<Token, u32>,
}

/// The lists that a buffer passes through, in order.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Added, and not yet published.
    pub(crate) staged: VecDeque<Buffer>,
    /// Published by the driver.
    pub(crate) available: VecDeque<Buffer>,
    /// ChainRecord by the device, in that order.
    pub(crate) taken: VecDeque<ChainRecord>,
    /// Completed with so many bytes written, and not yet published.
    pub(crate) completed: VecDeque<(Buffer, u32)>,
    /// Published by the device.
    pub(crate) used: VecDeque<(Buffer, u32)>,
}

impl Lists {
    /// Every buffer that the driver has not got back.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = &Buffer> {
        let taken = self.taken.iter().map(|taken| &taken.buffer);
        let here = self.staged.iter().chain(&self.available).chain(taken);
        here.chain(self.completed.iter().chain(&self.used).map(|(buffer, _)| buffer))
    }
}

/// What a side asks of the other one: when to be notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Always,
    Never,
    /// When this step is published.
    At(u64),
}

/// One side as the other one sees it: how it wants to be woken up, and whether it sleeps.
#[derive(Debug)]
pub(crate) struct Sleeper {
    features: Features,
    wish: Wish,
    armed: bool,
    /// It has been told that it may sleep; and whether it has been notified since.
    asleep: Option<bool>,
}

impl Sleeper {
    /// Zeroed memory asks for notifications; that of a split queue with event indices for the first one.
    pub(crate) const fn new(features: Features) -> Self {
        let mut sleeper = Self { features, wish: Wish::Always, armed: true, asleep: None };
        if sleeper.has_split_event() {
            sleeper.wish = Wish::At(0);
        }
        sleeper
    }

    const fn has_split_event(&self) -> bool {
        self.features.contains(Features::EVENT_IDX) && !self.features.contains(Features::RING_PACKED)
    }

    /// It asks to be notified of what comes after step `next`.
    pub(crate) fn arm(&mut self, next: u64, sleeps: bool) {
        let event = self.features.contains(Features::EVENT_IDX);
        self.wish = if event { Wish::At(next) } else { Wish::Always };
        self.armed = true;
        self.asleep = sleeps.then_some(false);
    }

    /// It has found something.
    pub(crate) fn wake(&mut self) {
        // A split queue with event indices has no way to say "never", but what was asked for is in the past.
        if self.armed && !self.has_split_event() {
            self.wish = Wish::Never;
        }
        self.armed = false;
        self.asleep = None;
    }

    /// It stops and goes on: what it asked for is still in shared memory.
    pub(crate) fn resume(&mut self) {
        self.armed = true;
        self.asleep = None;
    }
}

/// The stream of what one side publishes, counted in steps: buffers in a split queue, descriptors in a packed
/// one.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// Steps published.
    pub(crate) published: u64,
    /// Steps that the other side has taken.
    pub(crate) taken: u64,
    /// Steps that were published when it was last decided whether to notify; `None` after a resume.
    decided: Option<u64>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self { decided: Some(0), ..Self::default() }
    }

    pub(crate) fn resume(&mut self) {
        self.decided = None;
    }

    /// Holds a decision to what it has to be: no notification is lost, and none is sent that nobody wants.
    pub(crate) fn decide(&mut self, sleeper: &mut Sleeper, answer: Notify) {
        let new = self.published;
        let expected = match (self.decided.replace(new), sleeper.wish) {
            (None, _) => true,
            (Some(old), _) if old == new => false,
            (Some(_), Wish::Always) => true,
            (Some(_), Wish::Never) => false,
            // A split queue's event is a 16-bit index, which comes around again.
            (Some(old), Wish::At(event)) => (new - 1).wrapping_sub(event) % (1 << 16) < new - old,
        };
        assert_eq!(answer.is_needed(), expected, "{self:?} {sleeper:?}");
        if let Some(notified) = &mut sleeper.asleep {
            *notified |= answer.is_needed();
            assert!(*notified || self.taken == new, "a side sleeps with work to do: {self:?} {sleeper:?}");
        }
    }
}

/// The 16-bit form of a number of steps from the start.
pub(crate) fn index(steps: u64, size: u16, features: Features) -> u16 {
    let bits = if features.contains(Features::RING_PACKED) {
        let (lap, slot) = (steps / u64::from(size), steps % u64::from(size));
        slot | (1 - lap % 2) << 15
    } else {
        steps % (1 << 16)
    };
    u16::try_from(bits).expect("both branches give 16 bits")
}

/// A position from two numbers of steps.
pub(crate) fn position(available: u64, used: u64, size: u16, features: Features) -> Position {
    Position { available: index(available, size, features), used: index(used, size, features) }
}
