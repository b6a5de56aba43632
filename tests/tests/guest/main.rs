//! Real Linux guests under QEMU, and real peers, against snd-host and isolation-host.
//!
//! The feature `guest` enables this target. `cargo xtask setup` prepares the guest once, and `cargo
//! build --workspace --bins --examples` builds the programs under test. One module then runs alone:
//!
//! ```text
//! cargo test -p end-to-end --features guest --test guest -- snd_capture --test-threads=1
//! ```
//!
//! A test name instead of `snd_capture` runs that test, and no name runs all of them.
//! `--test-threads=1` keeps two guests from competing for the processors. `isolation_network` also
//! needs `cargo build --release --package isolation-host`.

mod entropy;
mod harness;
mod isolation_disk;
mod isolation_files;
mod isolation_migration;
mod isolation_network;
mod isolation_restart;
mod isolation_sound;
mod isolation_vdpa;
mod snd_audio_process;
mod snd_capture;
mod snd_controls;
mod snd_delay;
mod snd_forms;
mod snd_guest_servers;
mod snd_playback;
mod snd_sessions;
mod snd_sound_server;
mod snd_suspend;
mod snd_tiny_periods;
mod snd_tone;
