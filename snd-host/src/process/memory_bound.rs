//! Upper bound on the memory that one guest can make this process use.

use ring_core::Segment;

use crate::limits::{
    MAX_BUFFER_BYTES, MAX_BYTES_PER_SECOND, MAX_LATENCY_MS, MAX_QUEUE_SIZE, MAX_SEGMENTS, MAX_STREAMS,
    MAX_TAKES,
};
use crate::spec::QUEUES;
use crate::wire::{HEADER_BYTES, playback_ring_bytes};

/// Bytes held for a message or a slot of a queue, without audio and segments. Rounded up.
const BYTES_PER_SLOT: u64 = 512;

/// Returns the largest number of bytes that are held for one guest.
///
/// Memory of the elements of the pipeline and of GStreamer itself is not included.
pub(super) const fn memory_bound() -> u64 {
    let ahead = MAX_BYTES_PER_SECOND as u64 * MAX_LATENCY_MS as u64 / 1000;
    // A take that records keeps less.
    let take = playback_ring_bytes(MAX_BUFFER_BYTES, MAX_BYTES_PER_SECOND) + HEADER_BYTES as u64 + ahead;
    // Messages on their way between the queue and their streams.
    let messages = MAX_STREAMS as u64 * MAX_BUFFER_BYTES as u64;
    let slots = (QUEUES * MAX_QUEUE_SIZE) as u64 * BYTES_PER_SLOT;
    // The segments that recorded audio is written to, in vectors that double when they grow.
    let segments = (MAX_QUEUE_SIZE * MAX_SEGMENTS.next_power_of_two() * size_of::<Segment>()) as u64;
    MAX_TAKES as u64 * take + messages + slots + segments
}
