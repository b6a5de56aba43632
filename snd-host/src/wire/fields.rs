//! The words at the start of a shared area.

/// A word of 64 bits at the start of a shared area. The value is the number of the word.
///
/// Words of different writers are in different cache lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Field {
    /// Written by the card: frames written to play, or frames taken of a recording.
    CardPosition = 0,
    /// Written by the card: what the take has to do, see [`Mode`](super::Mode).
    Mode,
    /// Written by the card: whether the take was ever started.
    Started,
    /// Written by the card: frames that the guest considers played, see [`Played`](super::Played).
    Played,
    /// Written by the card: when `Played` was computed, in nanoseconds of CLOCK_MONOTONIC.
    PlayedSampledAt,
    /// Written by the card: up to where time moves `Played` until `Played` is computed again.
    PlayedLimit,
    /// Written by the card: the factor of all samples, as the bits of an `f64`.
    Gain,
    /// Written by the audio process: the first frame that the sink has not been given, or frames
    /// recorded.
    AudioPosition = 8,
    /// Written by the audio process: frames that were dropped because the sink did not take them.
    Dropped,
    /// Written by the audio process, and cleared by the card: whether the take waits for the card's
    /// position to change.
    Asleep,
    /// Written by the audio process: frames in the last piece of a recording.
    Piece,
    /// Written by the audio process: 1 if a live source is open, 2 if another source is open.
    Source,
    /// Written by the audio process: odd while the following words change.
    Version = 16,
    /// See [`Progress`](super::Progress).
    Generation,
    /// What the sink does.
    Sink,
    /// When the running time was read, in nanoseconds.
    SampledAt,
    /// The running time in nanoseconds; `u64::MAX` if the pipeline does not play.
    Running,
    /// The first frame of the segment that is being heard.
    SegmentFirst,
    /// The running time at which that frame is heard, in nanoseconds.
    SegmentAt,
    /// The first frame that has no running time yet.
    SegmentNext,
}

/// Bytes before the frames of a shared area.
pub(crate) const HEADER_BYTES: usize = 4096;
const _: () = assert!((Field::SegmentNext as usize + 1) * size_of::<u64>() <= HEADER_BYTES);
