//! A virtqueue without rings: buffers that move from list to list, and two sides that sleep and
//! wake.

use std::collections::VecDeque;

use ring_core::{ChainRecord, Features, Notify, Position, Segment, Token};

/// A buffer that the driver has added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Buffer {
    pub(crate) cookie: u64,
    pub(crate) readable: Vec<Segment>,
    pub(crate) writable: Vec<Segment>,
    /// The address of the indirect table, if the buffer has one.
    pub(crate) table: Option<u64>,
}

impl Buffer {
    pub(crate) fn segments(&self) -> usize {
        self.readable.len() + self.writable.len()
    }

    /// Returns the number of descriptors that the buffer occupies in the ring.
    pub(crate) fn count(&self) -> u64 {
        if self.table.is_some() { 1 } else { self.segments() as u64 }
    }

    /// Returns the number of bytes that the device may write.
    pub(crate) fn room(&self) -> u32 {
        self.writable.iter().map(|segment| segment.len).sum()
    }
}

/// A buffer that the device has taken.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) buffer: Buffer,
    /// What the journal of the device has noted about the chain.
    pub(crate) record: ChainRecord,
    /// Whether the device has taken the chain over from a device that crashed.
    pub(crate) adopted: bool,
    pub(crate) state: State,
}

/// The progress of the device with a buffer that it has taken.
#[derive(Debug)]
pub(crate) enum State {
    /// The chain can be completed.
    Open(Token),
    /// The chain is completed with this number of bytes written.
    Completed(u32),
}

impl Taken {
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }
}

/// The lists that a buffer passes through, in order.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// Added by the driver and not published.
    pub(crate) staged: VecDeque<Buffer>,
    /// Published by the driver.
    pub(crate) available: VecDeque<Buffer>,
    /// Taken by the device, in this order. In an in-order queue, this list also has completed
    /// chains that wait for an older chain.
    pub(crate) taken: VecDeque<Taken>,
    /// Completed by the device in this order, and not published.
    pub(crate) completed: VecDeque<Taken>,
    /// Published by the device, with the number of bytes written.
    pub(crate) used: VecDeque<(Buffer, u32)>,
}

impl Lists {
    /// Returns every buffer that the driver has not reaped.
    pub(crate) fn in_flight(&self) -> impl Iterator<Item = &Buffer> {
        let device = self.taken.iter().chain(&self.completed).map(|taken| &taken.buffer);
        let driver = self.staged.iter().chain(&self.available);
        driver.chain(device).chain(self.used.iter().map(|(buffer, _)| buffer))
    }
}

/// The time at which a side has to be notified, according to its suppression of notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suppression {
    Always,
    Never,
    /// When this step is published.
    At(u64),
}

/// One side as the other side sees it: its suppression of notifications, and whether it sleeps.
#[derive(Debug)]
pub(crate) struct Sleeper {
    features: Features,
    suppression: Suppression,
    armed: bool,
    /// Whether the side has been notified since it was told that it may sleep; `None` if it was not
    /// told so.
    asleep: Option<bool>,
}

impl Sleeper {
    /// Returns the side of a queue in zeroed memory, which asks for all notifications. In a split
    /// queue with event indices, zeroed memory asks for the first notification only.
    pub(crate) const fn new(features: Features) -> Self {
        let mut sleeper = Self { features, suppression: Suppression::Always, armed: true, asleep: None };
        if sleeper.has_split_event() {
            sleeper.suppression = Suppression::At(0);
        }
        sleeper
    }

    const fn has_split_event(&self) -> bool {
        self.features.contains(Features::EVENT_IDX) && !self.features.contains(Features::RING_PACKED)
    }

    /// Notes that the side asks to be notified of step `next`.
    pub(crate) fn arm(&mut self, next: u64, sleeps: bool) {
        let event = self.features.contains(Features::EVENT_IDX);
        self.suppression = if event { Suppression::At(next) } else { Suppression::Always };
        self.armed = true;
        self.asleep = sleeps.then_some(false);
    }

    /// Notes that the side has found a buffer.
    pub(crate) fn wake(&mut self) {
        // A split queue with event indices cannot express "never"; the index has passed the event.
        if self.armed && !self.has_split_event() {
            self.suppression = Suppression::Never;
        }
        self.armed = false;
        self.asleep = None;
    }

    /// Notes that the side acts on its own, and does not change its suppression. The side has to
    /// arm again before it sleeps.
    pub(crate) fn act(&mut self) {
        self.asleep = None;
    }

    /// Notes that the side has been suspended and resumed. Its suppression is still in shared
    /// memory.
    pub(crate) fn resume(&mut self) {
        self.armed = true;
        self.asleep = None;
    }
}

/// The publications of one side, counted in steps: buffers in a split queue, descriptors in a
/// packed queue.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// The number of steps published.
    pub(crate) published: u64,
    /// The number of steps that the other side has taken.
    pub(crate) taken: u64,
    /// The number of steps published at the last decision to notify; `None` after a resume.
    decided: Option<u64>,
}

impl Stream {
    pub(crate) fn new() -> Self {
        Self { decided: Some(0), ..Self::default() }
    }

    pub(crate) fn resume(&mut self) {
        self.decided = None;
    }

    /// Checks a decision to notify: no notification is lost, and no notification is sent without a
    /// request.
    pub(crate) fn decide(&mut self, sleeper: &mut Sleeper, answer: Notify) {
        let new = self.published;
        let expected = match (self.decided.replace(new), sleeper.suppression) {
            (None, _) => true,
            (Some(old), _) if old == new => false,
            (Some(_), Suppression::Always) => true,
            (Some(_), Suppression::Never) => false,
            // The event of a split queue is a 16-bit index, which recurs.
            (Some(old), Suppression::At(event)) => (new - 1).wrapping_sub(event) % (1 << 16) < new - old,
        };
        assert_eq!(answer.is_needed(), expected, "{self:?} {sleeper:?}");
        if let Some(notified) = &mut sleeper.asleep {
            *notified |= answer.is_needed();
            assert!(*notified || self.taken == new, "a side sleeps with work to do: {self:?} {sleeper:?}");
        }
    }
}

/// Returns the 16-bit form of a number of steps since the queue was set up.
pub(crate) fn index(steps: u64, size: u16, features: Features) -> u16 {
    let bits = if features.contains(Features::RING_PACKED) {
        let (lap, slot) = (steps / u64::from(size), steps % u64::from(size));
        slot | (1 - lap % 2) << 15
    } else {
        steps % (1 << 16)
    };
    u16::try_from(bits).expect("both branches give 16 bits")
}

/// Returns the position after these numbers of steps.
pub(crate) fn position(available: u64, used: u64, size: u16, features: Features) -> Position {
    Position { available: index(available, size, features), used: index(used, size, features) }
}
