//! How much a guest can make this process hold.

use ring_core::Segment;

use crate::args::{MAX_LATENCY_MS, MAX_STREAMS};
use crate::audio;
use crate::backend::MAX_QUEUE_SIZE;
use crate::device::MAX_SEGMENTS;
use crate::pcm::{MAX_BUFFER_BYTES, MAX_BYTES_PER_SECOND};
use crate::spec::QUEUES;

/// What is held for a message or for a slot of a queue, besides audio and where it goes; more than any of their
/// structures has.
const BYTES_PER_SLOT: u64 = 512;

/// The most bytes that are held for one guest, whatever it does; without what the elements of the pipeline
/// hold, and GStreamer itself.
pub(crate) const fn memory() -> u64 {
    let ahead = MAX_BYTES_PER_SECOND as u64 * MAX_LATENCY_MS as u64 / 1000;
    // One that records keeps less.
    let stretch = audio::limit(MAX_BUFFER_BYTES, MAX_BYTES_PER_SECOND) + ahead;
    // Messages on their way between the queue and their streams.
    let messages = MAX_STREAMS as u64 * MAX_BUFFER_BYTES as u64;
    let slots = (QUEUES * MAX_QUEUE_SIZE) as u64 * BYTES_PER_SLOT;
    // Where recorded audio goes, in vectors that double when they grow.
    let places = (MAX_QUEUE_SIZE * MAX_SEGMENTS.next_power_of_two() * size_of::<Segment>()) as u64;
    audio::MAX_STRETCHES as u64 * stretch + messages + slots + places
}
