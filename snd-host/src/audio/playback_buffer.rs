//! Audio that the guest has given and the sink has not taken yet.

use std::time::Duration;

use bytes::BytesMut;

use super::blocks::Blocks;
use super::crossfade::crossfade;
use super::mode::Mode;
use crate::pcm::Params;

/// How far playback may fall behind the guest's position. If it falls further behind, because there
/// is no sink or the sink stalls, the oldest audio is dropped.
const MAX_LAG_SECONDS: u64 = 2;

/// How much more than the latency playback may be late. The guest's position is delayed by this
/// much within two seconds, so that nothing has to be dropped.
const MAX_LATENESS: Duration = Duration::from_millis(150);

/// The duration of the transition where frames are dropped. A sudden one would be heard as a click.
const FADE: Duration = Duration::from_millis(5);

/// How a take that plays ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All audio is still played.
    Drain,
    /// Audio that the sink has not taken yet is dropped.
    Cut,
}

/// A queue of frames, which are numbered from 0 for the first frame of the take.
///
/// The frames are read from guest memory once, and taken out without a copy.
#[derive(Debug)]
pub(crate) struct PlaybackBuffer {
    pub(crate) mode: Mode,
    /// Whether playback was ever started.
    pub(crate) started: bool,
    blocks: Blocks,
    /// The number of the first frame in `blocks`.
    first: u64,
    /// Number of frames that were dropped because the sink did not take them in time.
    pub(crate) dropped: u64,
    params: Params,
    frame_bytes: usize,
    /// The largest size of `blocks`.
    max_bytes: usize,
    /// Number of frames that the guest considers played.
    pub(crate) played: u64,
}

/// Returns the largest number of bytes that a take holds.
///
/// The audio of pending messages is one buffer. A second buffer is necessary because a ring that
/// stops may return some messages early, after which the guest may fill its buffer again.
pub(crate) const fn max_buffered_bytes(buffer_bytes: u32, bytes_per_second: u32) -> u64 {
    buffer_bytes as u64 * 2 + bytes_per_second as u64 * MAX_LAG_SECONDS
}

impl PlaybackBuffer {
    pub(crate) fn new(params: &Params) -> Self {
        let frame_bytes = params.frame_bytes();
        let max_bytes = max_buffered_bytes(params.buffer_bytes, params.rate * frame_bytes);
        Self {
            mode: Mode::Ready,
            started: false,
            blocks: Blocks::new(frame_bytes, params.rate),
            first: 0,
            dropped: 0,
            params: *params,
            frame_bytes: frame_bytes as usize,
            // Far less than 4 GiB: two of the largest buffers, and two seconds.
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            played: 0,
        }
    }

    /// Returns the number of the first frame in the buffer.
    pub(crate) const fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number of the next frame to be pushed.
    pub(crate) const fn end(&self) -> u64 {
        self.first + (self.blocks.len() / self.frame_bytes) as u64
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.blocks.len() == 0
    }

    /// Appends whole frames of `bytes` bytes, at most the guest's buffer, which `read` fills in one
    /// part after the other. Drops the oldest frames if necessary.
    ///
    /// Appends nothing and returns false if `read` does.
    pub(crate) fn push(&mut self, bytes: usize, read: impl FnMut(&mut [u8]) -> bool) -> bool {
        let excess = (self.blocks.len() + bytes).saturating_sub(self.max_bytes);
        self.drop_oldest(excess.div_ceil(self.frame_bytes) as u64);
        self.blocks.append(bytes, read)
    }

    /// Returns the number of the first frame that the guest does not consider played.
    pub(crate) fn first_unplayed(&self) -> u64 {
        self.first.max(self.played)
    }

    /// Drops the frames that the guest considers played, before a new sink is opened.
    pub(crate) fn drop_played(&mut self) {
        self.drop_oldest(self.first_unplayed() - self.first);
    }

    /// Takes out what a sink needs to have audio for `latency`, in pieces with the numbers of their
    /// first frames.
    ///
    /// The sink plays what it already has for the time `ahead`, and has not even taken all of it if
    /// `queued` is longer. Frames that would be heard too late after the guest's position are
    /// dropped: all up to the position.
    pub(crate) fn next_pieces(
        &mut self,
        latency: Duration,
        ahead: Duration,
        queued: Duration,
    ) -> Vec<(u64, BytesMut)> {
        let missing = self.params.frames_in(latency.saturating_sub(ahead.max(queued)));
        if missing > 0 && self.mode == Mode::Run {
            // The guest's position when the next frame is heard, unless the guest stops. The guest
            // may not have given the audio at that position yet.
            let position = self.played + self.params.frames_in(ahead);
            let late = position.saturating_sub(self.first);
            if self.params.duration(late) > latency + MAX_LATENESS {
                self.skip(late.min(self.end() - self.first));
            }
        }
        self.pull_all(missing)
    }

    /// Drops the oldest frames, with a transition to the rest.
    fn skip(&mut self, frames: u64) {
        let len = self.params.frames_in(FADE).min(frames).min(self.end() - self.first - frames);
        let len = usize::try_from(len).unwrap_or(0) * self.frame_bytes;
        let from = self.blocks.head(len);
        self.drop_oldest(frames);
        crossfade(&self.params, &from, self.blocks.frames_mut());
    }

    /// Drops all frames.
    pub(crate) fn drop_all(&mut self) {
        self.drop_oldest(u64::MAX);
    }

    fn drop_oldest(&mut self, frames: u64) {
        let dropped: usize = self.pull_all(frames).iter().map(|(_, bytes)| bytes.len()).sum();
        self.dropped += (dropped / self.frame_bytes) as u64;
    }

    /// Takes at most `frames` frames out, in pieces with the numbers of their first frames.
    pub(crate) fn pull_all(&mut self, frames: u64) -> Vec<(u64, BytesMut)> {
        let end = self.first.saturating_add(frames);
        std::iter::from_fn(|| self.pull(end - self.first)).collect()
    }

    fn pull(&mut self, frames: u64) -> Option<(u64, BytesMut)> {
        // The buffer is in memory, so its size fits.
        let bytes = usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(self.frame_bytes);
        let piece = self.blocks.pull(bytes)?;
        let first = self.first;
        self.first += (piece.len() / self.frame_bytes) as u64;
        Some((first, piece))
    }

    /// Ends playback.
    pub(crate) fn end_with(&mut self, ending: Ending) {
        self.mode = Mode::End;
        if ending == Ending::Cut {
            self.blocks.truncate(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::s16_stereo;

    impl PlaybackBuffer {
        /// Appends whole frames.
        fn push_all(&mut self, mut frames: &[u8]) {
            let bytes = frames.len();
            assert!(self.push(bytes, |part| std::io::Read::read_exact(&mut frames, part).is_ok()));
        }

        /// Takes at most `frames` frames out, which must be contiguous in numbers.
        fn take(&mut self, frames: u64) -> Option<(u64, Vec<u8>)> {
            let pieces = self.pull_all(frames);
            let (first, _) = *pieces.first()?;
            let mut bytes = Vec::new();
            for (number, piece) in pieces {
                assert_eq!(number, first + (bytes.len() / self.frame_bytes) as u64);
                bytes.extend(piece);
            }
            Some((first, bytes))
        }
    }

    #[test]
    fn frames_come_out_once_in_order_and_numbered() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.push_all(&[1, 1, 1, 1, 2, 2, 2, 2]);
        buffer.push_all(&[3, 3, 3, 3]);
        assert_eq!(buffer.take(2), Some((0, vec![1, 1, 1, 1, 2, 2, 2, 2])));
        assert_eq!(buffer.take(9), Some((2, vec![3, 3, 3, 3])));
        assert_eq!(buffer.take(9), None);
        assert_eq!((buffer.first(), buffer.end()), (3, 3));
    }

    #[test]
    fn the_size_is_bounded_and_the_oldest_frames_are_dropped() {
        let params = s16_stereo();
        let mut buffer = PlaybackBuffer::new(&params);
        let second = vec![0; 48_000 * 4];
        (0..10).for_each(|_| buffer.push_all(&second));
        let kept = 2 * 48_000 + 2 * params.frames(params.buffer_bytes.into());
        assert_eq!(buffer.end(), 480_000);
        assert_eq!(buffer.first(), 480_000 - kept);
        assert_eq!(buffer.dropped, 480_000 - kept);
    }

    #[test]
    fn all_frames_can_be_dropped_and_are_counted() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.push_all(&[0; 40]);
        buffer.drop_all();
        assert_eq!((buffer.first(), buffer.end(), buffer.dropped, buffer.is_empty()), (10, 10, 10, true));
    }

    #[test]
    fn drop_played_drops_the_played_frames_and_no_others() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.push_all(&[0; 40]);
        buffer.played = 4;
        assert_eq!(buffer.first_unplayed(), 4);
        buffer.drop_played();
        assert_eq!((buffer.first(), buffer.end(), buffer.dropped), (4, 10, 4));
        buffer.drop_played();
        buffer.played = 99;
        buffer.drop_played();
        assert_eq!((buffer.first(), buffer.end(), buffer.dropped), (10, 10, 10));
    }

    #[test]
    fn frames_that_would_be_late_are_dropped_up_to_the_guests_position() {
        let (ms, latency) = (Duration::from_millis, Duration::from_millis(40));
        for (played, dropped) in [(8640, 0), (8641, 9121), (48_000, 48_480)] {
            let mut buffer = PlaybackBuffer::new(&s16_stereo());
            buffer.push_all(&vec![0; 96_000 * 4]);
            buffer.mode = Mode::Run;
            buffer.played = played;
            // 10 ms are in the sink; 30 ms are missing.
            let pieces = buffer.next_pieces(latency, ms(10), ms(10));
            let bytes: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
            assert_eq!((pieces[0].0, bytes, buffer.dropped), (dropped, 1440 * 4, dropped));
        }
    }

    #[test]
    fn nothing_is_dropped_at_the_end_or_for_a_sink_that_stalls() {
        let latency = Duration::from_millis(40);
        for (mode, queued) in [(Mode::End, Duration::ZERO), (Mode::Run, latency)] {
            let mut buffer = PlaybackBuffer::new(&s16_stereo());
            buffer.push_all(&vec![0; 96_000 * 4]);
            (buffer.mode, buffer.played) = (mode, 96_000);
            buffer.next_pieces(latency, Duration::ZERO, queued);
            assert_eq!(buffer.dropped, 0);
        }
    }

    #[test]
    fn a_cut_drops_the_remaining_frames_and_a_drain_does_not() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.push_all(&[0; 8]);
        buffer.end_with(Ending::Drain);
        assert!(buffer.take(1).is_some());
        buffer.end_with(Ending::Cut);
        assert!(buffer.take(1).is_none());
    }
}
