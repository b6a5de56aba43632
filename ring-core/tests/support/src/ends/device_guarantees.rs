//! What a device end guarantees, whatever the driver does.

use ring_core::{Chain, Notify, PopError, Segment, Token};

/// The state with which the results of a device end are checked.
#[derive(Debug)]
pub(super) struct DeviceGuarantees {
    /// Whether the end has reported a violation.
    pub(super) broken: bool,
    /// The tokens of the chains in flight.
    pub(super) tokens: Vec<Token>,
    /// The serial of the chain that was taken last.
    pub(super) last: u64,
    /// The number of chains that are completed and not published.
    pub(super) unpublished: usize,
    /// The number of descriptors of the queue.
    size: usize,
}

impl DeviceGuarantees {
    pub(super) const fn new(size: u16) -> Self {
        Self { broken: false, tokens: Vec::new(), last: 0, unpublished: 0, size: size as usize }
    }

    /// Checks the result of taking a chain, with storage for `storage` segments. Returns the
    /// chain's token.
    pub(super) fn popped(
        &mut self,
        storage: usize,
        popped: Result<Option<Chain<'_>>, PopError>,
    ) -> Option<Token> {
        let token = match popped {
            Ok(None) => return None,
            Ok(Some(chain)) => {
                self.took(storage, chain.readable(), chain.writable());
                chain.into_token()
            }
            Err(error) => return self.refused(error),
        };
        Some(token)
    }

    /// Checks the segments of a chain that was taken.
    pub(super) fn took(&self, storage: usize, readable: &[Segment], writable: &[Segment]) {
        assert!(!self.broken, "a broken end returns nothing");
        assert!(readable.len() + writable.len() <= storage);
        for Segment { address, len } in readable.iter().chain(writable) {
            assert!(*len == 0 || address.checked_add(u64::from(len - 1)).is_some());
        }
    }

    /// Checks an error of taking a chain. Returns the chain's token, if it has one.
    pub(super) fn refused(&mut self, error: PopError) -> Option<Token> {
        match error {
            PopError::TooLong(token) => {
                assert!(!self.broken, "a broken end returns nothing");
                Some(token)
            }
            PopError::Violation(violation) => {
                assert!(!self.broken, "{violation} was reported again");
                self.broken = true;
                None
            }
        }
    }

    /// Keeps the token of a chain with this serial.
    pub(super) fn keep(&mut self, token: Token, serial: u64) {
        assert!(!self.tokens.contains(&token), "{token:?} was returned twice");
        self.last = serial;
        self.tokens.push(token);
        self.held();
    }

    /// Notes that a chain was taken and completed in one step.
    pub(super) fn served(&mut self) {
        self.last += 1;
        self.unpublished += 1;
        self.held();
    }

    fn held(&self) {
        let held = self.tokens.len() + self.unpublished;
        assert!(held <= self.size, "{held} buffers are taken and not returned");
    }

    /// Chooses a chain to complete, and the number of bytes written to the chain.
    pub(super) fn choose(&mut self, which: u8, written: u8) -> Option<(Token, u32)> {
        let token = self.remove(which)?;
        let written = u64::from(written) % (u64::from(token.writable()) + 1);
        let written = u32::try_from(written).expect("the remainder of a byte is a byte");
        Some((token, written))
    }

    /// Chooses a chain in flight, and removes its token.
    pub(super) fn remove(&mut self, which: u8) -> Option<Token> {
        let count = self.tokens.len();
        (count > 0).then(|| self.tokens.swap_remove(usize::from(which) % count))
    }

    /// Checks the result of publishing.
    pub(super) fn published(&mut self, answer: Notify) {
        assert!(!(self.broken && answer.is_needed()), "a broken end notifies");
        self.unpublished = 0;
    }
}
