//! The answer to a control request.

use crate::pcm::Params;
use crate::spec::Status;

/// Size of the status at the start of an answer, in bytes.
pub(crate) const STATUS_BYTES: u64 = 4;

/// The answer to a control request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    /// The bytes that follow the status.
    pub(crate) payload: Vec<u8>,
    /// The effect that the caller has to carry out before it sends the answer.
    pub(crate) effect: Option<Effect>,
}

/// An effect of a request besides changes of the state from which answers are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The take of a stream changes.
    Take { stream: usize, change: Change },
    /// The control element with this number has a new value.
    ElementChanged(u16),
}

/// A change of a stream's take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A new take begins; the previous take, if any, ends.
    Prepare(Params),
    Start,
    Stop,
    End,
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self { status, payload: Vec::new(), effect: None }
    }
}
