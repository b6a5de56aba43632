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

    /// Returns when the guest sends START or STOP next.
    pub(super) fn next_change(&self, now: u64) -> Option<u64> {
        let (playing, stopped) = self.stops?;
        let at = now % (playing + stopped);
        Some(now - at + if at < playing { playing } else { playing + stopped })
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
    pub(super) not_before: u64,
    /// The number of messages since the last pause.
    burst: u32,
}

impl Sent {
    /// Returns when the guest may send a message, after `now`; `None` if a message has to be
    /// returned before.
    pub(super) fn next(&self, guest: &Guest, now: u64) -> Option<u64> {
        let pending = self.messages - self.returned;
        let pauses = self.burst >= guest.burst && pending > 0;
        (pending < guest.periods && !pauses).then_some(self.not_before.max(now + 1))
    }

    /// Returns whether the guest sends a message now. If so, counts the message.
    pub(super) fn sends(&mut self, guest: &Guest, now: u64) -> bool {
        if now < self.not_before || self.messages - self.returned >= guest.periods {
            return false;
        }
        if self.burst >= guest.burst {
            // The pause begins when all messages have been returned.
            if self.messages > self.returned {
                return false;
            }
            self.burst = 0;
            self.not_before = now + guest.silence;
            return false;
        }
        self.burst += 1;
        self.messages += 1;
        true
    }
}
