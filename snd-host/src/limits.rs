//! How much a guest can make this process hold.

use crate::args::MAX_LATENCY_MS;
use crate::audio;
use crate::backend::MAX_QUEUE_SIZE;
use crate::pcm::{MAX_BUFFER_BYTES, MAX_BYTES_PER_SECOND};
use crate::spec::QUEUES;

/// What is held for a message or for a slot of a queue, besides audio; more than any of their structures has.
const BYTES_PER_SLOT: u64 = 512;

/// The most bytes that are held for one guest, whatever it does; without what the elements of the pipeline
/// hold, and GStreamer itself.
pub(crate) const fn memory() -> u64 {
    let ahead = MAX_BYTES_PER_SECOND as u64 * MAX_LATENCY_MS as u64 / 1000;
    // One that records keeps less.
    let stretch = audio::limit(MAX_BUFFER_BYTES, MAX_BYTES_PER_SECOND) + ahead;
    // A message on its way from the queue.
    let message = MAX_BUFFER_BYTES as u64;
    audio::MAX_STRETCHES as u64 * stretch + message + (QUEUES * MAX_QUEUE_SIZE) as u64 * BYTES_PER_SLOT
}
