//! The ring of a take that records, and the card's side of it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::fields::Field;
use super::mode::Mode;
use super::ring::Ring;
use super::shared_area::SharedArea;
use crate::pcm::Params;

/// The room beyond the size of the guest's buffer, for sources with large pieces of audio.
const SPARE_MS: u64 = 200;

/// How often frames are copied again that may have been overwritten meanwhile.
const ATTEMPTS: usize = 3;

/// The values of [`Field::Source`].
pub(super) const LIVE: u64 = 1;
pub(super) const NOT_LIVE: u64 = 2;

/// Numbers of frames that were not passed from the source to the guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames that were dropped because the guest did not take them in time.
    pub dropped: u64,
    /// Frames that the source did not deliver in time, and silence replaced.
    pub silent: u64,
}

/// Returns the number of frames that may wait for the guest.
pub(super) fn max_frames(params: &Params) -> u64 {
    params.frames(params.buffer_bytes.into()) + u64::from(params.rate) * SPARE_MS / 1000
}

/// Returns the number of bytes for the frames of a take: twice as many frames as may wait, so that
/// a source does not overwrite the frames that are being copied.
pub(super) fn ring_bytes(params: &Params) -> usize {
    let bytes = max_frames(params) * 2 * u64::from(params.frame_bytes());
    // Far less than 4 GiB: two of the largest buffers, and less than a second.
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The card's side of a take that records. Silence replaces frames that are missing when they are
/// taken.
#[derive(Debug)]
pub struct CaptureReader {
    area: SharedArea,
    ring: Ring,
    /// The largest number of frames that wait, with a live source.
    max_frames: u64,
    /// Number of frames of the ring that were taken or dropped.
    read: u64,
    /// Number of frames that were taken, silence included.
    taken: u64,
    /// The end of the recording when silence last replaced audio. `None` if audio has arrived since
    /// then.
    starved_at: Option<u64>,
    counts: Counts,
    /// A frame of silence.
    silence: Vec<u8>,
}

impl CaptureReader {
    /// Creates the ring.
    ///
    /// # Errors
    ///
    /// Fails if there is no memory or no file descriptor.
    pub fn create(params: &Params) -> io::Result<Self> {
        let area = SharedArea::create(ring_bytes(params))?;
        area.set(Field::Gain, 1f64.to_bits());
        Ok(Self {
            ring: Ring::new(params, area.bytes()),
            area,
            max_frames: max_frames(params),
            read: 0,
            taken: 0,
            starved_at: Some(0),
            counts: Counts::default(),
            silence: params.silence(),
        })
    }

    /// Returns the file of the ring, for the audio process.
    pub const fn file(&self) -> &Arc<File> {
        self.area.file()
    }

    /// Sets what the take has to do.
    pub fn set_mode(&self, mode: Mode) {
        // Pairs with the load in `CaptureWriter::mode`.
        self.area.word(Field::Mode).store(mode.code(), Ordering::Release);
    }

    /// Sets the factor of all samples. Returns whether it was another one.
    pub fn set_gain(&self, gain: f64) -> bool {
        let old = self.area.get(Field::Gain);
        self.area.set(Field::Gain, gain.to_bits());
        old != gain.to_bits()
    }

    /// Returns the number of frames recorded.
    fn written(&self) -> u64 {
        // Pairs with the store in `CaptureWriter::write`. The position of a hostile process may be
        // any number; then the next frames are arbitrary, too.
        self.area
            .word(Field::AudioPosition)
            .load(Ordering::Acquire)
            .clamp(self.read, self.read.saturating_add(1 << 40))
    }

    /// Drops the oldest frames if the guest did not take them in time. Returns the number of frames
    /// that wait.
    fn sync(&mut self) -> u64 {
        let waiting = self.written() - self.read;
        let excess = waiting.saturating_sub(self.max_frames);
        self.skip(excess);
        waiting - excess
    }

    fn skip(&mut self, frames: u64) {
        self.counts.dropped = self.counts.dropped.saturating_add(frames);
        self.advance(frames);
    }

    /// Gives the room of the oldest frames back to the source.
    fn advance(&mut self, frames: u64) {
        self.read += frames;
        // Pairs with the load in `CaptureWriter::room`.
        self.area.word(Field::CardPosition).store(self.read, Ordering::Release);
    }

    /// Returns whether the audio process waits for the room that was given back.
    pub fn needs_wake(&self) -> bool {
        // Pairs with the fence in `CaptureWriter::sleeps`.
        fence(Ordering::SeqCst);
        self.area.get(Field::Asleep) != 0 && self.area.word(Field::Asleep).swap(0, Ordering::Relaxed) != 0
    }

    /// Returns the number of frames that a live source has delivered, silence included.
    ///
    /// The last piece does not count: it stays in reserve until the next piece arrives. `None`
    /// without a live source, and while the source delivers nothing.
    pub fn recorded(&mut self) -> Option<u64> {
        let waiting = self.sync();
        if self.starved_at.is_some_and(|end| self.read + waiting > end) {
            self.starved_at = None;
        }
        let live = self.area.get(Field::Source) == LIVE;
        let piece = self.area.get(Field::Piece);
        (live && self.starved_at.is_none()).then(|| self.taken.saturating_add(waiting).saturating_sub(piece))
    }

    /// Takes `bytes` bytes of whole frames.
    pub fn pull(&mut self, bytes: u32) -> Vec<u8> {
        let frame_bytes = self.ring.frame_bytes();
        let wanted = u64::from(bytes) / frame_bytes as u64;
        let mut audio = vec![0; bytes as usize];
        let found = self.copy(&mut audio);
        let missing = wanted - found;
        if missing > 0 {
            self.starved_at = Some(self.read);
            self.counts.silent += missing;
            // At most as many bytes as `audio` has.
            let start = usize::try_from(found).unwrap_or(0) * frame_bytes;
            audio[start..]
                .chunks_exact_mut(frame_bytes)
                .for_each(|frame| frame.copy_from_slice(&self.silence));
        }
        self.taken += wanted;
        audio
    }

    /// Copies the oldest frames to the start of `audio`, and takes them. Returns their number.
    fn copy(&mut self, audio: &mut [u8]) -> u64 {
        let frame_bytes = self.ring.frame_bytes();
        for _ in 0..ATTEMPTS {
            let frames = self.sync().min((audio.len() / frame_bytes) as u64);
            let bytes = usize::try_from(frames).unwrap_or(0) * frame_bytes;
            let [before, after] = self.ring.parts(self.read, bytes);
            let (to_before, to_after) = audio[..bytes].split_at_mut(before.len());
            self.area.copy_out(before.start, to_before);
            self.area.copy_out(after.start, to_after);
            // Pairs with the fence in `CaptureWriter::write`.
            fence(Ordering::Acquire);
            // A source writes at most `max_frames` at a time.
            if self.written() - self.read <= self.max_frames || self.area.get(Field::Source) != LIVE {
                self.advance(frames);
                return frames;
            }
        }
        0
    }

    /// Returns the number of bytes that wait.
    pub fn available(&self) -> u32 {
        let frames = (self.written() - self.read).min(self.max_frames);
        u32::try_from(frames * self.ring.frame_bytes() as u64).unwrap_or(u32::MAX)
    }

    /// Returns how many frames were dropped, and how many silence replaced.
    pub const fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::super::capture_writer::CaptureWriter;
    use super::*;
    use crate::pcm::tests::s16_stereo;

    fn pair() -> (CaptureReader, CaptureWriter) {
        let params = s16_stereo();
        let reader = CaptureReader::create(&params).unwrap();
        let writer = CaptureWriter::open(reader.file().try_clone().unwrap(), &params).unwrap();
        (reader, writer)
    }

    #[test]
    fn recorded_frames_come_out_once_and_in_order() {
        let (mut reader, mut writer) = pair();
        writer.write(&[1, 1, 1, 1, 2, 2, 2, 2]);
        writer.write(&[3, 3, 3, 3]);
        assert_eq!(reader.pull(4), [1, 1, 1, 1]);
        assert_eq!(reader.pull(8), [2, 2, 2, 2, 3, 3, 3, 3]);
        assert_eq!((reader.available(), reader.counts()), (0, Counts::default()));
    }

    #[test]
    fn silence_replaces_missing_frames_and_audio_resumes_after_it() {
        let (mut reader, mut writer) = pair();
        writer.write(&[1; 4]);
        assert_eq!(reader.pull(12), [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(reader.counts(), Counts { dropped: 0, silent: 2 });
        writer.write(&[2; 8]);
        assert_eq!(reader.pull(8), [2; 8]);
    }

    #[test]
    fn the_last_piece_of_a_live_source_does_not_count() {
        let (mut reader, mut writer) = pair();
        writer.set_source(true);
        assert_eq!(reader.recorded(), None);
        writer.write(&[1; 8]);
        assert_eq!(reader.recorded(), Some(0));
        writer.write(&[1; 12]);
        assert_eq!(reader.recorded(), Some(2));
        reader.pull(40);
        assert_eq!(reader.recorded(), None);
        writer.write(&[1; 12]);
        assert_eq!(reader.recorded(), Some(10));
    }

    #[test]
    fn a_live_source_is_bounded_and_the_oldest_frames_are_dropped() {
        let (mut reader, mut writer) = pair();
        writer.set_source(true);
        (0..48_000u32).for_each(|frame| writer.write(&frame.to_le_bytes()));
        let kept = max_frames(&s16_stereo());
        let oldest = u32::try_from(48_000 - kept).unwrap();
        assert_eq!(reader.pull(4), oldest.to_le_bytes());
        assert_eq!(
            (reader.available() / 4, reader.counts().dropped),
            (u32::try_from(kept).unwrap() - 1, 48_000 - kept)
        );
    }

    #[test]
    fn a_source_that_is_not_live_has_room_for_what_may_wait() {
        let (mut reader, mut writer) = pair();
        writer.set_source(false);
        while writer.room() >= 120 {
            writer.write(&[0; 480]);
        }
        writer.write(&[0; 480][..usize::try_from(writer.room()).unwrap() * 4]);
        assert!(writer.sleeps());
        reader.pull(480);
        assert!(reader.needs_wake() && !reader.needs_wake());
        assert!(writer.room() > 0 && !writer.sleeps());
        assert_eq!(reader.counts().dropped, 0);
    }

    #[test]
    fn a_part_of_a_frame_does_not_count() {
        let (mut reader, mut writer) = pair();
        writer.set_source(true);
        writer.write(&[1; 3]);
        assert_eq!((reader.recorded(), reader.available()), (None, 0));
    }

    #[test]
    fn another_process_continues_a_recording() {
        let (mut reader, mut writer) = pair();
        writer.write(&[1; 8]);
        drop(writer);
        let mut writer = CaptureWriter::open(reader.file().try_clone().unwrap(), &s16_stereo()).unwrap();
        writer.write(&[2; 4]);
        assert_eq!(reader.pull(12), [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
    }

    #[test]
    fn no_position_of_the_audio_process_causes_a_panic_or_unbounded_work() {
        let (mut reader, writer) = pair();
        for position in [1, u64::MAX, 0, 1 << 40, u64::MAX / 2] {
            reader.area.set(Field::AudioPosition, position);
            reader.area.set(Field::Piece, position);
            writer.set_source(true);
            reader.recorded();
            assert_eq!(reader.pull(400).len(), 400);
            assert!(reader.available() <= 1 << 20);
        }
    }
}
