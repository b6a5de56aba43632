//! What the suite has to know of an implementation.

use std::fmt;

use crate::case::Case;
use crate::pair::Queue;

/// Sets up a queue with both ends. Each call makes a queue of its own.
pub type Connect = Box<dyn Fn() -> Box<dyn Queue>>;

/// An implementation of one end or both ends of a queue.
pub trait Implementation: fmt::Debug + Sync {
    /// Returns the name in reports.
    fn name(&self) -> &'static str;

    /// Returns what sets up both ends for `case`, or `None` if the implementation does not support
    /// the case.
    fn connect(&self, case: Case) -> Option<Connect>;

    /// Returns the name in `counts.txt`, or `None` if the instructions of this case are not
    /// counted.
    fn count_name(&self, _case: Case) -> Option<String> {
        None
    }

    /// Returns whether both ends notify only when the other end has asked.
    fn suppresses_notifications(&self) -> bool {
        true
    }
}

/// Boxes what sets up a queue.
pub(crate) fn connect(set_up: impl Fn() -> Box<dyn Queue> + 'static) -> Option<Connect> {
    Some(Box::new(set_up))
}
