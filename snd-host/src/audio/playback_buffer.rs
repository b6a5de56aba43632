//! The audio that a guest has given and the host has not taken yet.

use std::collections::VecDeque;

use super::Mode;
use crate::pcm::Params;

/// How far what is heard may fall behind what the guest believes to be played. If the host falls further
/// behind, for want of a sink or because it stalls, the oldest audio is dropped.
const MAX_LAG_SECONDS: u64 = 2;

/// How a stretch of playback ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All that was given is still played.
    Drain,
    /// What the host has not taken yet is dropped.
    Cut,
}

/// A queue of frames, each of which has a number, from 0 for the first one given.
#[derive(Debug)]
pub(super) struct PlaybackBuffer {
    pub(super) mode: Mode,
    /// Whether it was ever told to play.
    pub(super) started: bool,
    bytes: VecDeque<u8>,
    /// The number of the first frame in `bytes`.
    first: u64,
    /// How many frames were dropped because the host did not take them in time.
    pub(super) dropped: u64,
    frame_bytes: usize,
    /// The most bytes that are kept.
    limit: usize,
    /// How many frames the guest believes to be played.
    pub(super) played: u64,
}

/// The most bytes that are kept for one stretch, of audio with so many bytes a second.
///
/// Messages that wait for their completion are one buffer. When a ring is stopped, some of them may be returned
/// early, and the guest may fill the buffer once more.
pub(crate) const fn max_buffered_bytes(buffer_bytes: u32, bytes_per_second: u32) -> u64 {
    buffer_bytes as u64 * 2 + bytes_per_second as u64 * MAX_LAG_SECONDS
}

impl PlaybackBuffer {
    pub(super) fn new(params: &Params) -> Self {
        let frame_bytes = params.frame_bytes();
        let limit = max_buffered_bytes(params.buffer_bytes, params.rate * frame_bytes);
        Self {
            mode: Mode::Ready,
            started: false,
            bytes: VecDeque::new(),
            first: 0,
            dropped: 0,
            frame_bytes: frame_bytes as usize,
            // At most four times the largest buffer and two seconds: it fits.
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            played: 0,
        }
    }

    /// The number of the first frame that is still here.
    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next frame to be given.
    pub(super) fn end(&self) -> u64 {
        self.first + (self.bytes.len() / self.frame_bytes) as u64
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes in whole frames, not more than a buffer. If that is too much, the oldest ones are dropped.
    pub(super) fn push(&mut self, frames: &[u8]) {
        let excess = (self.bytes.len() + frames.len()).saturating_sub(self.limit);
        self.drop_oldest(excess.div_ceil(self.frame_bytes) as u64);
        let (len, needed) = (self.bytes.len(), self.bytes.len() + frames.len());
        if needed > self.bytes.capacity() {
            // As it would grow by itself, but not beyond the limit.
            let wanted = (self.bytes.capacity() * 2).min(self.limit).max(needed);
            self.bytes.reserve_exact(wanted - len);
        }
        self.bytes.extend(frames);
    }

    /// Counts whole frames as dropped, and keeps none of them. Nothing has been kept before.
    pub(super) fn pass_over(&mut self, frames: &[u8]) {
        let frames = (frames.len() / self.frame_bytes) as u64;
        self.first += frames;
        self.dropped += frames;
    }

    /// The number of the first frame here that the guest does not believe to be played.
    pub(super) fn first_to_be_heard(&self) -> u64 {
        self.first.max(self.played)
    }

    /// Drops what the guest believes to be played: nobody wants to hear it when a sink comes back.
    pub(super) fn catch_up(&mut self) {
        self.drop_oldest(self.first_to_be_heard() - self.first);
    }

    fn drop_oldest(&mut self, frames: u64) {
        if let Some((_, bytes)) = self.take(frames) {
            self.dropped += (bytes.len() / self.frame_bytes) as u64;
        }
    }

    /// Gives out at most `frames` frames, and the number of the first one.
    pub(super) fn take(&mut self, frames: u64) -> Option<(u64, Vec<u8>)> {
        let frames = frames.min(self.end() - self.first);
        if frames == 0 {
            return None;
        }
        let first = self.first;
        self.first += frames;
        // No more than there is in memory.
        let bytes = usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(self.frame_bytes);
        if bytes >= self.bytes.len() && self.mode == Mode::End {
            // Not held twice: nothing comes after it.
            return Some((first, std::mem::take(&mut self.bytes).into()));
        }
        Some((first, self.bytes.drain(..bytes.min(self.bytes.len())).collect()))
    }

    /// Asks for the end.
    pub(super) fn end_with(&mut self, ending: Ending) {
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
        let mut feed = PlaybackBuffer::new(&s16_stereo());
        feed.push(&[1, 1, 1, 1, 2, 2, 2, 2]);
        feed.push(&[3, 3, 3, 3]);
        assert_eq!(feed.take(2), Some((0, vec![1, 1, 1, 1, 2, 2, 2, 2])));
        assert_eq!(feed.take(9), Some((2, vec![3, 3, 3, 3])));
        assert_eq!(feed.take(9), None);
        assert_eq!((feed.first(), feed.end()), (3, 3));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let params = s16_stereo();
        let mut feed = PlaybackBuffer::new(&params);
        let second = vec![0; 48_000 * 4];
        (0..10).for_each(|_| feed.push(&second));
        let kept = 2 * 48_000 + 2 * params.frames(params.buffer_bytes.into());
        assert_eq!(feed.end(), 480_000);
        assert_eq!(feed.first(), 480_000 - kept);
        assert_eq!(feed.dropped, 480_000 - kept);
    }

    #[test]
    fn what_is_passed_over_counts_and_is_not_kept() {
        let mut feed = PlaybackBuffer::new(&s16_stereo());
        feed.pass_over(&[0; 40]);
        assert_eq!((feed.first(), feed.end(), feed.dropped, feed.bytes.capacity()), (10, 10, 10, 0));
    }

    #[test]
    fn no_more_memory_is_held_than_the_limit_says() {
        let mut feed = PlaybackBuffer::new(&s16_stereo());
        (0..1000).for_each(|_| feed.push(&[0; 7680]));
        assert!(feed.bytes.capacity() <= feed.limit, "{} > {}", feed.bytes.capacity(), feed.limit);
        feed.end_with(Ending::Drain);
        assert_eq!(feed.take(u64::MAX).map(|(_, bytes)| bytes.len()), Some(feed.limit));
        assert_eq!(feed.bytes.capacity(), 0);
    }

    #[test]
    fn catching_up_drops_what_is_believed_to_be_played_and_no_more() {
        let mut feed = PlaybackBuffer::new(&s16_stereo());
        feed.push(&[0; 40]);
        feed.played = 4;
        assert_eq!(feed.first_to_be_heard(), 4);
        feed.catch_up();
        assert_eq!((feed.first(), feed.end(), feed.dropped), (4, 10, 4));
        feed.catch_up();
        feed.played = 99;
        feed.catch_up();
        assert_eq!((feed.first(), feed.end(), feed.dropped), (10, 10, 10));
    }

    #[test]
    fn a_cut_drops_what_is_left_and_a_drain_does_not() {
        let mut feed = PlaybackBuffer::new(&s16_stereo());
        feed.push(&[0; 8]);
        feed.end_with(Ending::Drain);
        assert!(feed.take(1).is_some());
        feed.end_with(Ending::Cut);
        assert!(feed.take(1).is_none());
    }
}
