//! What snd-host does for a guest, and what it prevents a guest from doing.
//!
//! A vhost-user front-end in this process plays the guest; QEMU is not needed. No test judges by
//! the clock: tests compare bytes, counts and order, and their deadlines only catch a hang.
//! Intervals and delays are measured by `cargo bench -p snd-host --bench timing`.

mod audio_process;
mod capture;
mod commands;
mod controls;
mod greed;
mod hostile;
mod lasting_failures;
mod operation;
mod playback;
mod protocol;
mod sandbox;
#[path = "../support/mod.rs"]
mod support;
