//! One test for each requirement of the standard on virtqueues, named by role and section of VIRTIO 1.4.
//!
//! `CONFORMANCE.md` is the table of all requirements; the test in [`table`] holds the two together.

mod areas;
mod features;
mod packed_events;
mod packed_lists;
mod packed_ring;
mod packed_used;
mod recorder;
mod reset;
mod rig;
mod split_buffers;
mod split_indirect;
mod split_rings;
mod split_suppression;
mod table;
