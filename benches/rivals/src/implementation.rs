//! The trait that each measured implementation provides to the suite.

use crate::case::Case;
use crate::pair::Queue;

/// An implementation of one end or both ends of a queue, used in one way.
pub trait Implementation {
    /// Sets up both ends for `case`. Returns `None` if the implementation does not support the
    /// case.
    fn connect(&self, case: Case) -> Option<Box<dyn Queue>>;

    /// Returns whether both ends notify only when the other end has asked.
    fn suppresses_notifications(&self) -> bool {
        true
    }
}
