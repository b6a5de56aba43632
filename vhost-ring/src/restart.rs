//! How a queue has started: for the first time, where it was stopped, or after a driver's reset.

use ring_core::Position;

/// What [`Queues::start`](crate::Queues::start) has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// Nothing: the queue runs already, or the front-end does not let the queue run, or the queue
    /// cannot be started with its configuration.
    Unchanged,
    /// The queue has started for the first time, or after [`reset`](crate::Queues::reset).
    First,
    /// The queue has started at the position at which it was stopped, as after a pause of the
    /// virtual machine.
    Continued,
    /// The queue has started at another position than the one at which it was stopped: the driver
    /// has been reset.
    ///
    /// vhost-user does not tell a back-end of a driver's reset in another way.
    DriverReset,
}

impl Started {
    /// Returns how a queue has started at `position`. `left` is the position at which the queue was
    /// stopped, if it was ever stopped.
    pub(crate) fn new(left: Option<Position>, position: Position) -> Self {
        match left {
            None => Self::First,
            Some(left) if left == position => Self::Continued,
            Some(_) => Self::DriverReset,
        }
    }
}
