//! Audio that the source has delivered and the guest has not taken yet.

use bytes::BytesMut;

use super::blocks::Blocks;
use crate::pcm::Params;

/// The room beyond the size of the guest's buffer, for sources with large pieces of audio.
const SPARE_MS: u64 = 200;

/// A queue of frames. Silence replaces frames that are missing when they are taken out.
#[derive(Debug)]
pub(super) struct CaptureBuffer {
    blocks: Blocks,
    frame_bytes: usize,
    /// The largest size of `blocks` with a live source.
    max_bytes: usize,
    /// Number of frames that were taken out.
    taken: u64,
    /// Whether the source delivers audio at its own pace.
    pub(super) live: bool,
    /// Number of frames in the last piece of audio.
    piece: u64,
    /// Whether no audio has arrived since silence last replaced audio, or since the start.
    starved: bool,
    /// Number of frames that were dropped because the guest did not take them.
    dropped: u64,
    /// Number of frames that silence replaced.
    silent: u64,
    /// A frame of silence.
    silence: Vec<u8>,
}

/// Numbers of frames that were not passed from the source to the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Frames that were dropped because the guest did not take them in time.
    pub(crate) dropped: u64,
    /// Frames that the source did not deliver in time, and silence replaced.
    pub(crate) silent: u64,
}

impl CaptureBuffer {
    pub(super) fn new(params: &Params) -> Self {
        let frame_bytes = params.frame_bytes();
        let spare = u64::from(params.rate) * SPARE_MS / 1000 * u64::from(frame_bytes);
        let max_bytes = u64::from(params.buffer_bytes) + spare;
        Self {
            blocks: Blocks::new(frame_bytes, params.rate),
            frame_bytes: frame_bytes as usize,
            // Far less than 4 GiB: the largest buffer, and the spare.
            max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
            taken: 0,
            live: false,
            piece: 0,
            starved: true,
            dropped: 0,
            silent: 0,
            silence: params.silence(),
        }
    }

    /// Returns whether there is room for more audio.
    pub(super) const fn has_room(&self) -> bool {
        self.blocks.len() < self.max_bytes
    }

    /// Appends a copy of whole frames, which `convert` converts to the guest's form.
    ///
    /// If a live source delivers too much, the oldest frames are dropped. Any other source must be
    /// read only if there [is room](Self::has_room).
    pub(super) fn push(&mut self, frames: &[u8], convert: impl Fn(&mut [u8])) {
        let mut left = &frames[..frames.len() - frames.len() % self.frame_bytes];
        if left.is_empty() {
            return;
        }
        self.piece = (left.len() / self.frame_bytes) as u64;
        self.starved = false;
        self.blocks.append(left.len(), |part| {
            let (copied, rest) = left.split_at(part.len());
            part.copy_from_slice(copied);
            convert(part);
            left = rest;
            true
        });
        if self.live {
            let excess = self.blocks.len().saturating_sub(self.max_bytes).next_multiple_of(self.frame_bytes);
            self.take(excess);
            self.dropped += (excess / self.frame_bytes) as u64;
        }
    }

    /// Returns the number of frames that a live source has delivered, silence included.
    ///
    /// The last piece does not count: it stays in reserve until the next piece arrives. `None`
    /// without a live source, and while the source delivers nothing.
    pub(super) fn recorded(&self) -> Option<u64> {
        let end = self.taken + (self.blocks.len() / self.frame_bytes) as u64;
        (self.live && !self.starved).then(|| end.saturating_sub(self.piece))
    }

    /// Takes `bytes` bytes of whole frames out, in pieces.
    pub(super) fn pull(&mut self, bytes: u32) -> Vec<BytesMut> {
        // GStreamer needs a processor of at least 32 bits.
        let wanted = bytes as usize;
        let mut pieces = self.take(wanted);
        let missing = wanted - pieces.iter().map(BytesMut::len).sum::<usize>();
        if missing > 0 {
            self.starved = true;
            self.silent += (missing / self.frame_bytes) as u64;
            pieces.push(self.silence.iter().copied().cycle().take(missing).collect());
        }
        self.taken += (wanted / self.frame_bytes) as u64;
        pieces
    }

    /// Takes at most `bytes` bytes of whole frames out.
    fn take(&mut self, bytes: usize) -> Vec<BytesMut> {
        let mut left = bytes;
        let pull = || self.blocks.pull(left).inspect(|piece| left -= piece.len());
        std::iter::from_fn(pull).collect()
    }

    /// Returns the number of bytes in the buffer.
    pub(super) const fn available(&self) -> usize {
        self.blocks.len()
    }

    pub(super) const fn counts(&self) -> Counts {
        Counts { dropped: self.dropped, silent: self.silent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::s16_stereo;

    impl CaptureBuffer {
        fn add(&mut self, frames: &[u8]) {
            self.push(frames, |_| {});
        }

        fn get(&mut self, bytes: u32) -> Vec<u8> {
            self.pull(bytes).concat()
        }
    }

    fn live(params: &Params) -> CaptureBuffer {
        let mut buffer = CaptureBuffer::new(params);
        buffer.live = true;
        buffer
    }

    #[test]
    fn recorded_frames_come_out_once_and_in_order() {
        let mut buffer = CaptureBuffer::new(&s16_stereo());
        buffer.add(&[1, 1, 1, 1, 2, 2, 2, 2]);
        buffer.add(&[3, 3, 3, 3]);
        assert_eq!(buffer.get(4), [1, 1, 1, 1]);
        assert_eq!(buffer.get(8), [2, 2, 2, 2, 3, 3, 3, 3]);
        assert_eq!((buffer.available(), buffer.counts()), (0, Counts::default()));
    }

    #[test]
    fn silence_replaces_missing_frames_and_audio_resumes_after_it() {
        let mut buffer = live(&s16_stereo());
        buffer.add(&[1; 4]);
        assert_eq!(buffer.get(12), [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(buffer.counts(), Counts { dropped: 0, silent: 2 });
        buffer.add(&[2; 8]);
        assert_eq!(buffer.get(8), [2; 8]);
    }

    #[test]
    fn the_last_piece_of_a_live_source_does_not_count() {
        let mut buffer = live(&s16_stereo());
        assert_eq!(buffer.recorded(), None);
        buffer.add(&[1; 8]);
        assert_eq!(buffer.recorded(), Some(0));
        buffer.add(&[1; 12]);
        assert_eq!(buffer.recorded(), Some(2));
        buffer.get(40);
        assert_eq!(buffer.recorded(), None);
        buffer.add(&[1; 12]);
        assert_eq!(buffer.recorded(), Some(10));
    }

    #[test]
    fn a_live_source_is_bounded_and_the_oldest_frames_are_dropped() {
        let params = s16_stereo();
        let mut buffer = live(&params);
        let kept = params.frames(params.buffer_bytes.into()) + 9600;
        (0..48_000u32).for_each(|frame| buffer.add(&frame.to_le_bytes()));
        assert_eq!((buffer.available() as u64, buffer.counts().dropped), (kept * 4, 48_000 - kept));
        let oldest = u32::try_from(48_000 - kept).unwrap();
        assert_eq!(buffer.get(4), oldest.to_le_bytes());
    }

    #[test]
    fn a_source_that_is_not_live_fills_the_buffer_without_drops() {
        let mut buffer = CaptureBuffer::new(&s16_stereo());
        while buffer.has_room() {
            buffer.add(&[0; 480]);
        }
        assert_eq!(buffer.available() as u64, (7680u64 + 9600 * 4).next_multiple_of(480));
        assert_eq!(buffer.counts().dropped, 0);
    }

    #[test]
    fn a_part_of_a_frame_does_not_count() {
        let mut buffer = live(&s16_stereo());
        buffer.add(&[1; 3]);
        assert_eq!((buffer.recorded(), buffer.available()), (None, 0));
    }
}
