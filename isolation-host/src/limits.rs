//! Bounds on what one guest or one device can make isolation-host hold or do.
//!
//! The bounds that an operator chooses are in [`args`](crate::args).

use std::time::Duration;

/// The largest number of queues. Vhost-user's messages with a file descriptor have 8 bits for the
/// index.
pub const MAX_QUEUES: u16 = 256;

/// The longest chain that isolation-host forwards, in segments. The journal has room for it.
pub const LONGEST_CHAIN: usize = 1024;

/// The largest number of requests that one round of a queue submits beyond the number that the
/// round returns.
pub const ROUND_REQUESTS: usize = 64;

/// The number of bytes, in each direction, after which a round takes no further request.
///
/// The queues of a thread take turns by rounds, so this bounds how long a queue delays the others.
/// A single request may be as large as the queue's share of the isolated area.
pub const ROUND_BYTES: u64 = 4 << 20;

/// The largest number of rounds that the queues of a worker run before the worker looks at
/// notifications again.
pub const MAX_ROUNDS: usize = 16;

/// How many losses of a device have to count against a request before the request fails.
///
/// A loss counts against a request if no other request can be at fault.
pub const MAX_LOSSES: u8 = 3;

/// How long a request that may be at fault for the loss of a device delays other such requests.
pub const TRIAL: Duration = Duration::from_secs(1);
