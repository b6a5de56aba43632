//! Code that the end-to-end tests and the demo share.
//!
//! - [`playback`] runs the whole path of sound: a real [`guest`] plays a counting [`pattern`]
//!   through a [`daemon`] under test, and [`check`] compares each frame that the host received.
//!   [`duplex`] plays and records a [`tune`], [`matrix`] plays many [`form`]s of audio. [`runs`]
//!   finds gaps, and [`audio_process`] the process that plays.
//! - [`sound_server`] runs PulseAudio on the host, and [`pipewire`] finds the files of PipeWire,
//!   which a guest runs.
//! - [`forwarding`] runs a disk behind isolation-host. Each sector of the [`disk`] names its place.
//! - [`tree`] makes and compares directory trees that a guest copies through a file server.
//! - [`testpmd`] counts network packets between DPDK's driver and DPDK's device.
//! - [`memory`] lists the memory files that a process shares, [`visible`] searches them, and
//!   [`connection`] breaks connections.
//!
//! Every program runs as a [`process::Process`]: waits have deadlines, and the program ends with
//! the test. `cargo xtask setup` prepares the guest; [`artifacts`] finds the prepared files.

pub mod artifacts;
pub mod attempts;
pub mod audio_process;
pub mod by_hand;
pub mod check;
pub mod command_line;
pub mod connection;
pub mod daemon;
pub mod disk;
pub mod duplex;
pub mod form;
pub mod forwarding;
pub mod guest;
pub mod matrix;
pub mod memory;
pub mod pattern;
mod pipes;
pub mod pipewire;
pub mod playback;
pub mod positions;
pub mod process;
pub mod random;
pub mod runs;
pub mod sound_server;
pub mod testpmd;
pub mod tree;
pub mod tune;
pub mod visible;
pub mod wav;
