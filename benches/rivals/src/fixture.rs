//! What both ends of a queue are made from.

use ring_core::{Features, Setup};

use crate::arena::Arena;
use crate::case::Case;
use crate::request::{Request, Shape};

/// A queue's memory, its layout, and the requests that pass through the queue.
#[derive(Debug)]
pub struct Fixture {
    /// The memory.
    pub arena: Arena,
    /// The layout.
    pub setup: Setup,
    /// The shape of the requests.
    pub shape: Shape,
    /// The requests of one iteration.
    pub requests: Vec<Request>,
}

impl Fixture {
    /// Makes the fixture of `case` for a queue of this format.
    #[must_use]
    pub fn new(case: Case, format: Features) -> Self {
        let (arena, shape) = (Arena::new(), case.shape());
        let setup = arena.setup(format);
        let requests = Request::several(&arena, shape, case.requests());
        Self { arena, setup, shape, requests }
    }
}
