//! What operators see: state and counters as JSON, as Prometheus text and as systemd's status.
//!
//! ```text
//!   workers ── relaxed atomics ─▶ QueueCounters ─┐
//!   Control ─────────────────────────────────────┴▶ Snapshot ─▶ json, prometheus, summary
//!                                                                 │
//!                                                       Server ◀──┘  one socket for each format
//! ```
//!
//! | file | concern |
//! |---|---|
//! | `snapshot` | the values |
//! | `families` | the names and meanings of the counters |
//! | `json`, `prometheus`, `summary` | the texts |
//! | `server` | the sockets, which never wait for a reader |
//! | `reader` | one connection |
//! | `report_socket` | the path of a socket |

mod families;
mod json;
mod prometheus;
mod reader;
mod report_socket;
mod server;
mod snapshot;
mod summary;

pub use report_socket::{ReportSocket, ReportSocketError};
pub use server::Server;
pub(crate) use snapshot::{DeviceState, QueueState, Snapshot, Totals, VmmState};
pub(crate) use summary::summary;
