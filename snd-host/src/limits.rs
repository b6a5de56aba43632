//! Upper bounds on sizes and counts that a guest and the command line can ask for.

/// The largest number of streams in one direction.
pub const MAX_STREAMS: u8 = 4;

/// The largest number of channels that a guest may choose.
pub(crate) const MAX_CHANNELS: u8 = 8;

/// The largest buffer that a guest may choose, in bytes. Twice the largest buffer of Linux.
pub(crate) const MAX_BUFFER_BYTES: u32 = 4 << 20;

/// The largest number of bytes per second, with 8 bytes per sample.
pub(crate) const MAX_BYTES_PER_SECOND: u32 = 192_000 * MAX_CHANNELS as u32 * 8;

/// The largest value of `--latency`.
pub const MAX_LATENCY_MS: i64 = 500;

/// The largest number of takes at a time, including takes that are still being played out.
///
/// Each take has a thread. A guest that starts and stops streams faster than the host can follow is
/// not heard for some of the time.
pub const MAX_TAKES: usize = 16;

/// The largest queue size that a front-end may set. QEMU uses 64.
pub const MAX_QUEUE_SIZE: usize = 1024;

/// The largest number of segments in a buffer: one for each page of the largest message, one more
/// if the message is not aligned to pages, and one each for the header and the status.
pub const MAX_SEGMENTS: usize = MAX_BUFFER_BYTES as usize / 4096 + 3;
