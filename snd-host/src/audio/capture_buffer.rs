//! The audio that the host has recorded and the guest has not taken yet.

use std::collections::VecDeque;

use super::Mode;
use crate::pcm::Params;

/// How much is kept beyond the guest's buffer, so that a source that gives audio in large pieces can give
/// one.
const SPARE_MILLISECONDS: u64 = 200;

/// A queue of frames. Frames are taken out in time, whether they are there or not: silence stands for those
/// that are missing.
#[derive(Debug)]
pub(super) struct CaptureBuffer {
    pub(super) mode: Mode,
    bytes: VecDeque<u8>,
    frame_bytes: usize,
    /// The most bytes that are kept.
    limit: usize,
    /// How many frames were taken.
    taken: u64,
    /// Whether the source gives audio at its own pace.
    pub(super) live: bool,
    /// How many frames the source gave last.
    piece: u64,
    /// Whether the source has given nothing since silence last stood in for it, or nothing at all.
    dry: bool,
    /// How many frames were dropped because the guest did not take them.
    dropped: u64,
    /// How many frames were silence for want of a source.
    silent: u64,
    /// A frame of silence.
    silence: Vec<u8>,
}

/// What was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Frames dropped because the guest did not take them in time.
    pub(crate) dropped: u64,
    /// Frames of silence, because there was nothing else.
    pub(crate) silent: u64,
}

impl CaptureBuffer {
    pub(super) fn new(params: &Params) -> Self {
        let frame_bytes = params.frame_bytes();
        let spare = u64::from(params.rate) * SPARE_MILLISECONDS / 1000 * u64::from(frame_bytes);
        let limit = u64::from(params.buffer_bytes) + spare;
        Self {
            mode: Mode::Ready,
            bytes: VecDeque::new(),
            frame_bytes: frame_bytes as usize,
            // At most the largest buffer and the spare: it fits.
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            taken: 0,
            live: false,
            piece: 0,
            dry: true,
            dropped: 0,
            silent: 0,
            silence: params.silence(),
        }
    }

    /// Whether there is less than could be wanted soon.
    pub(super) fn is_wanting(&self) -> bool {
        self.bytes.len() < self.limit
    }

    /// Takes in whole frames. If that is too much of what a live source gives, the oldest ones are dropped;
    /// any other has to be asked first whether [more is wanted](Self::is_wanting).
    pub(super) fn push(&mut self, frames: &[u8]) {
        let whole = frames.len() - frames.len() % self.frame_bytes;
        if whole == 0 {
            return;
        }
        self.bytes.extend(&frames[..whole]);
        self.piece = (whole / self.frame_bytes) as u64;
        self.dry = false;
        if self.live {
            let excess = self.bytes.len().saturating_sub(self.limit).next_multiple_of(self.frame_bytes);
            self.bytes.drain(..excess);
            self.dropped += (excess / self.frame_bytes) as u64;
        }
    }

    /// How many frames a live source has given by now, silence included; `None` if there is none. The last
    /// piece does not count: it is kept in hand while the next one is on its way.
    pub(super) fn recorded(&self) -> Option<u64> {
        let end = self.taken + (self.bytes.len() / self.frame_bytes) as u64;
        (self.live && !self.dry).then(|| end.saturating_sub(self.piece))
    }

    /// Takes the next frames, `bytes` bytes of them.
    pub(super) fn take(&mut self, bytes: u32) -> Vec<u8> {
        // Platforms with less than 32 bits have no GStreamer.
        let wanted = bytes as usize;
        let mut taken: Vec<u8> = self.bytes.drain(..wanted.min(self.bytes.len())).collect();
        let missing = (wanted - taken.len()) / self.frame_bytes;
        if missing > 0 {
            self.dry = true;
            self.silent += missing as u64;
        }
        taken.extend(self.silence.iter().cycle().take(wanted - taken.len()));
        self.taken += (wanted / self.frame_bytes) as u64;
        taken
    }

    /// How many bytes there are.
    pub(super) fn available(&self) -> usize {
        self.bytes.len()
    }

    pub(super) const fn counts(&self) -> Counts {
        Counts { dropped: self.dropped, silent: self.silent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::s16_stereo;

    fn live(params: &Params) -> CaptureBuffer {
        let mut store = CaptureBuffer::new(params);
        store.live = true;
        store
    }

    #[test]
    fn frames_come_out_once_and_in_order() {
        let mut store = CaptureBuffer::new(&s16_stereo());
        store.push(&[1, 1, 1, 1, 2, 2, 2, 2]);
        store.push(&[3, 3, 3, 3]);
        assert_eq!(store.take(4), [1, 1, 1, 1]);
        assert_eq!(store.take(8), [2, 2, 2, 2, 3, 3, 3, 3]);
        assert_eq!((store.available(), store.counts()), (0, Counts::default()));
    }

    #[test]
    fn silence_stands_for_what_is_missing_and_the_source_goes_on_after_it() {
        let mut store = live(&s16_stereo());
        store.push(&[1; 4]);
        assert_eq!(store.take(12), [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(store.counts(), Counts { dropped: 0, silent: 2 });
        store.push(&[2; 8]);
        assert_eq!(store.take(8), [2; 8]);
    }

    #[test]
    fn a_live_source_counts_by_all_but_its_last_piece_while_it_gives_any() {
        let mut store = live(&s16_stereo());
        assert_eq!(store.recorded(), None);
        store.push(&[1; 8]);
        assert_eq!(store.recorded(), Some(0));
        store.push(&[1; 12]);
        assert_eq!(store.recorded(), Some(2));
        store.take(40);
        assert_eq!(store.recorded(), None);
        store.push(&[1; 12]);
        assert_eq!(store.recorded(), Some(10));
    }

    #[test]
    fn what_is_kept_of_a_live_source_is_bounded_and_the_oldest_goes_first() {
        let params = s16_stereo();
        let mut store = live(&params);
        let kept = params.frames(params.buffer_bytes.into()) + 9600;
        (0..48_000u32).for_each(|frame| store.push(&frame.to_le_bytes()));
        assert_eq!((store.available() as u64, store.counts().dropped), (kept * 4, 48_000 - kept));
        let oldest = u32::try_from(48_000 - kept).unwrap();
        assert_eq!(store.take(4), oldest.to_le_bytes());
    }

    #[test]
    fn a_source_that_is_not_live_is_asked_for_as_much_as_a_live_one_may_give() {
        let mut store = CaptureBuffer::new(&s16_stereo());
        while store.is_wanting() {
            store.push(&[0; 480]);
        }
        assert_eq!(store.available() as u64, (7680u64 + 9600 * 4).next_multiple_of(480));
        assert_eq!(store.counts().dropped, 0);
    }

    #[test]
    fn a_part_of_a_frame_is_no_frame() {
        let mut store = live(&s16_stereo());
        store.push(&[1; 3]);
        assert_eq!((store.recorded(), store.available()), (None, 0));
    }
}
