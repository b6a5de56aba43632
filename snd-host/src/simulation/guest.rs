//! Guests that play.

/// How a guest plays. A frame has one byte; times are in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest {
    /// The number of frames in a period, which is a message.
    pub(super) period: u32,
    /// The number of periods in the buffer.
    pub(super) periods: u32,
    /// The number of messages that the guest sends until it pauses.
    pub(super) burst: u32,
    /// How long the guest pauses without STOP.
    pub(super) silence: u64,
    /// How long the guest takes to send a message after a message was returned.
    pub(super) delay: u64,
    /// When the guest sends STOP, and how long it waits before the next START.
    pub(super) stops: Option<(u64, u64)>,
}

impl Guest {
    pub(super) const fn buffer(&self) -> u32 {
        self.period * self.periods
    }

    /// Returns whether the stream runs at a time since its first START.
    pub(super) const fn runs(&self, at: u64) -> bool {
        match self.stops {
            Some((playing, stopped)) => at % (playing + stopped) < playing,
            None => true,
        }
    }
}

/// The messages that a guest has sent and got back.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The number of messages sent.
    pub(super) messages: u32,
    /// The number of messages that were returned.
    pub(super) returned: u32,
    /// When the next message may be sent.
    pub(super) next: u64,
    /// The number of messages since the last pause.
    burst: u32,
}

impl Sent {
    /// Returns whether the guest sends a message now. If so, counts the message.
    pub(super) fn sends(&mut self, guest: &Guest, now: u64) -> bool {
        if now < self.next || self.messages - self.returned >= guest.periods {
            return false;
        }
        if self.burst >= guest.burst {
            // The pause begins when all messages have been returned.
            if self.messages > self.returned {
                return false;
            }
            self.burst = 0;
            self.next = now + guest.silence;
            return false;
        }
        self.burst += 1;
        self.messages += 1;
        true
    }
}
