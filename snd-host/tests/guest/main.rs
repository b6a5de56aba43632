//! What the daemon does for a guest, and what it does not let one do.

mod capture;
mod controls;
mod greed;
mod hostile;
mod operation;
mod playback;
mod protocol;
mod sandbox;
#[path = "../support/mod.rs"]
mod support;
