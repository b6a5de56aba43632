//! The requirements of VIRTIO 1.4 on virtqueues, with at least one test for each.
//!
//! A test is named after the role and the section of its requirement. `CONFORMANCE.md` is the table
//! of all requirements; the tests in [`table`] compare the table with this folder.

mod areas;
mod features;
mod packed_events;
mod packed_lists;
mod packed_ring;
mod packed_used;
mod reset;
mod rig;
mod split_buffers;
mod split_indirect;
mod split_rings;
mod split_suppression;
mod table;
