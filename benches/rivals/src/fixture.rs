//! The memory, layout and requests from which both ends of a queue are made.

use ring_core::{Features, Setup};

use crate::arena::Arena;
use crate::case::Case;
use crate::request::Request;
use crate::shape::Shapes;

/// A queue's memory, its layout, and the requests that pass through the queue.
#[derive(Debug)]
pub struct Fixture {
    /// The memory.
    pub arena: Arena,
    /// The layout.
    pub setup: Setup,
    /// The shapes of the requests.
    pub shapes: Shapes,
    /// The number of requests in one burst.
    pub burst: usize,
    /// The requests of all bursts until the bursts repeat.
    pub requests: Vec<Request>,
}

impl Fixture {
    /// Makes the fixture of `case` for a queue of this format.
    #[must_use]
    pub fn new(case: Case, format: Features) -> Self {
        let (arena, shapes, burst) = (Arena::new(), case.shapes(), case.requests());
        let setup = arena.setup(case.queue_size(), format);
        let requests = Request::several(&arena, shapes, burst * shapes.bursts());
        Self { arena, setup, shapes, burst: burst.into(), requests }
    }
}
