//! The device as a vhost-user front-end and the driver see it: queues, a timer, and one function
//! that serves them.

mod backend;
mod device;
mod timer;

pub(crate) use self::backend::Backend;
