//! Audio that the guest has given and the sink has not taken yet.

use std::collections::VecDeque;
use std::time::Duration;

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
#[derive(Debug)]
pub(crate) struct PlaybackBuffer {
    pub(crate) mode: Mode,
    /// Whether playback was ever started.
    pub(crate) started: bool,
    bytes: VecDeque<u8>,
    /// The number of the first frame in `bytes`.
    first: u64,
    /// Number of frames that were dropped because the sink did not take them in time.
    pub(crate) dropped: u64,
    params: Params,
    frame_bytes: usize,
    /// The largest size of `bytes`.
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
            bytes: VecDeque::new(),
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
    pub(crate) fn end(&self) -> u64 {
        self.first + (self.bytes.len() / self.frame_bytes) as u64
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends whole frames, at most the guest's buffer. Drops the oldest frames if necessary.
    pub(crate) fn push(&mut self, frames: &[u8]) {
        let excess = (self.bytes.len() + frames.len()).saturating_sub(self.max_bytes);
        self.drop_oldest(excess.div_ceil(self.frame_bytes) as u64);
        let (len, needed) = (self.bytes.len(), self.bytes.len() + frames.len());
        if needed > self.bytes.capacity() {
            // The usual growth of a `VecDeque`, but not beyond the limit.
            let wanted = (self.bytes.capacity() * 2).min(self.max_bytes).max(needed);
            self.bytes.reserve_exact(wanted - len);
        }
        self.bytes.extend(frames);
    }

    /// Counts whole frames as dropped without storing them. The buffer must be empty.
    pub(crate) fn discard(&mut self, frames: &[u8]) {
        let frames = (frames.len() / self.frame_bytes) as u64;
        self.first += frames;
        self.dropped += frames;
    }

    /// Returns the number of the first frame that the guest does not consider played.
    pub(crate) fn first_unplayed(&self) -> u64 {
        self.first.max(self.played)
    }

    /// Drops the frames that the guest considers played, before a new sink is opened.
    pub(crate) fn drop_played(&mut self) {
        self.drop_oldest(self.first_unplayed() - self.first);
    }

    /// Takes out what a sink needs to have audio for `latency`.
    ///
    /// The sink plays what it already has for the time `ahead`, and has not even taken all of it if
    /// `queued` is longer. Frames that would be heard too late after the guest's position are
    /// dropped: all up to the position.
    pub(crate) fn next_piece(
        &mut self,
        latency: Duration,
        ahead: Duration,
        queued: Duration,
    ) -> Option<(u64, Vec<u8>)> {
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
        self.pull(missing)
    }

    /// Drops the oldest frames, with a transition to the rest.
    fn skip(&mut self, frames: u64) {
        let len = self.params.frames_in(FADE).min(frames).min(self.end() - self.first - frames);
        let len = usize::try_from(len).unwrap_or(0) * self.frame_bytes;
        let from: Vec<u8> = self.bytes.range(..len).copied().collect();
        self.drop_oldest(frames);
        crossfade(&self.params, &from, &mut self.bytes.make_contiguous()[..len]);
    }

    fn drop_oldest(&mut self, frames: u64) {
        if let Some((_, bytes)) = self.pull(frames) {
            self.dropped += (bytes.len() / self.frame_bytes) as u64;
        }
    }

    /// Takes at most `frames` frames out. Returns the number of the first frame, and the frames.
    pub(crate) fn pull(&mut self, frames: u64) -> Option<(u64, Vec<u8>)> {
        let frames = frames.min(self.end() - self.first);
        if frames == 0 {
            return None;
        }
        let first = self.first;
        self.first += frames;
        // The buffer is in memory, so its size fits.
        let bytes = usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(self.frame_bytes);
        if bytes >= self.bytes.len() && self.mode == Mode::End {
            // No frame follows, so the memory is handed over rather than copied.
            return Some((first, std::mem::take(&mut self.bytes).into()));
        }
        Some((first, self.bytes.drain(..bytes.min(self.bytes.len())).collect()))
    }

    /// Ends playback.
    pub(crate) fn end_with(&mut self, ending: Ending) {
        self.mode = Mode::End;
        if ending == Ending::Cut {
            self.bytes = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::s16_stereo;

    #[test]
    fn frames_come_out_once_in_order_and_numbered() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.push(&[1, 1, 1, 1, 2, 2, 2, 2]);
        buffer.push(&[3, 3, 3, 3]);
        assert_eq!(buffer.pull(2), Some((0, vec![1, 1, 1, 1, 2, 2, 2, 2])));
        assert_eq!(buffer.pull(9), Some((2, vec![3, 3, 3, 3])));
        assert_eq!(buffer.pull(9), None);
        assert_eq!((buffer.first(), buffer.end()), (3, 3));
    }

    #[test]
    fn the_size_is_bounded_and_the_oldest_frames_are_dropped() {
        let params = s16_stereo();
        let mut buffer = PlaybackBuffer::new(&params);
        let second = vec![0; 48_000 * 4];
        (0..10).for_each(|_| buffer.push(&second));
        let kept = 2 * 48_000 + 2 * params.frames(params.buffer_bytes.into());
        assert_eq!(buffer.end(), 480_000);
        assert_eq!(buffer.first(), 480_000 - kept);
        assert_eq!(buffer.dropped, 480_000 - kept);
    }

    #[test]
    fn discarded_frames_count_and_are_not_stored() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.discard(&[0; 40]);
        assert_eq!((buffer.first(), buffer.end(), buffer.dropped, buffer.bytes.capacity()), (10, 10, 10, 0));
    }

    #[test]
    fn the_capacity_does_not_exceed_the_limit() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        (0..1000).for_each(|_| buffer.push(&[0; 7680]));
        assert!(
            buffer.bytes.capacity() <= buffer.max_bytes,
            "{} > {}",
            buffer.bytes.capacity(),
            buffer.max_bytes
        );
        buffer.end_with(Ending::Drain);
        assert_eq!(buffer.pull(u64::MAX).map(|(_, bytes)| bytes.len()), Some(buffer.max_bytes));
        assert_eq!(buffer.bytes.capacity(), 0);
    }

    #[test]
    fn drop_played_drops_the_played_frames_and_no_others() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.push(&[0; 40]);
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
            buffer.push(&vec![0; 96_000 * 4]);
            buffer.mode = Mode::Run;
            buffer.played = played;
            // 10 ms are in the sink; 30 ms are missing.
            let piece = buffer.next_piece(latency, ms(10), ms(10));
            let first = piece.map(|(first, bytes)| (first, bytes.len()));
            assert_eq!((first, buffer.dropped), (Some((dropped, 1440 * 4)), dropped));
        }
    }

    #[test]
    fn nothing_is_dropped_at_the_end_or_for_a_sink_that_stalls() {
        let latency = Duration::from_millis(40);
        for (mode, queued) in [(Mode::End, Duration::ZERO), (Mode::Run, latency)] {
            let mut buffer = PlaybackBuffer::new(&s16_stereo());
            buffer.push(&vec![0; 96_000 * 4]);
            (buffer.mode, buffer.played) = (mode, 96_000);
            buffer.next_piece(latency, Duration::ZERO, queued);
            assert_eq!(buffer.dropped, 0);
        }
    }

    #[test]
    fn a_cut_drops_the_remaining_frames_and_a_drain_does_not() {
        let mut buffer = PlaybackBuffer::new(&s16_stereo());
        buffer.push(&[0; 8]);
        buffer.end_with(Ending::Drain);
        assert!(buffer.pull(1).is_some());
        buffer.end_with(Ending::Cut);
        assert!(buffer.pull(1).is_none());
    }
}
