//! What the end-to-end tests and the demo share.
//!
//! A [`playback`] is a run of the whole path: a counting [`pattern`] is played in a real [`guest`]
//! through a [`daemon`] under test, and what the host received is [`check`]ed frame by frame.
//! [`forwarding`] is a disk behind isolation-host, written and checked as a [`disk`] whose sectors know
//! where they belong; a [`tree`] is what a guest copies through a file server behind it; [`testpmd`] counts packets.
//! A [`sound_server`] is a host's end that can come late, go and come back.
//! Which [`memory`] of others a device has meanwhile can be looked at.
//! Everything that runs is a [`process::Process`]: it is waited for with a deadline, and it ends
//! with the test.
//!
//! `cargo xtask setup` prepares what a guest needs; [`artifacts`] knows where that is.

pub mod artifacts;
pub mod attempts;
pub mod check;
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
pub mod playback;
pub mod process;
pub mod sound_server;
pub mod testpmd;
pub mod tree;
