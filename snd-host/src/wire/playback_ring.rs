//! The ring of a take that plays.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::fields::Field;
use super::mode::Mode;
use super::played::Played;
use super::progress::Progress;
use super::ring::Ring;
use super::shared_area::SharedArea;
use crate::pcm::Params;

/// How far playback may fall behind the guest's position. If it falls further behind, because there
/// is no sink or the sink stalls, the oldest audio is dropped.
const MAX_LAG_SECONDS: u64 = 2;

/// Returns the largest number of bytes of frames that wait for the sink.
///
/// The audio of pending messages is one buffer. A second buffer is necessary because a ring that
/// stops may return some messages early, after which the guest may fill its buffer again.
pub(crate) const fn max_buffered_bytes(buffer_bytes: u32, bytes_per_second: u32) -> u64 {
    buffer_bytes as u64 * 2 + bytes_per_second as u64 * MAX_LAG_SECONDS
}

/// Returns the number of bytes for the frames of a take: those that may wait, and those of the
/// message that is being written.
pub(crate) const fn playback_ring_bytes(buffer_bytes: u32, bytes_per_second: u32) -> u64 {
    max_buffered_bytes(buffer_bytes, bytes_per_second) + buffer_bytes as u64
}

fn ring_bytes(params: &Params) -> usize {
    let bytes = playback_ring_bytes(params.buffer_bytes, params.rate * params.frame_bytes());
    // Far less than 4 GiB: three of the largest buffers, and two seconds.
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The card's side of a take that plays.
#[derive(Debug)]
pub struct PlaybackWriter {
    area: SharedArea,
    ring: Ring,
    /// Number of frames written.
    written: u64,
}

impl PlaybackWriter {
    /// Creates the ring.
    ///
    /// # Errors
    ///
    /// Fails if there is no memory or no file descriptor.
    pub fn create(params: &Params) -> io::Result<Self> {
        let area = SharedArea::create(ring_bytes(params))?;
        area.set(Field::Gain, 1f64.to_bits());
        Ok(Self { ring: Ring::new(params, area.bytes()), area, written: 0 })
    }

    /// Returns the file of the ring, for the audio process.
    pub const fn file(&self) -> &Arc<File> {
        self.area.file()
    }

    /// Writes whole frames of `bytes` bytes, at most the guest's buffer, which `read` fills in one
    /// part after the other. Writes nothing and returns false if `read` does.
    pub fn write(&mut self, bytes: usize, mut read: impl FnMut(&mut [u8]) -> bool) -> bool {
        // Pairs with the fence in `PlaybackReader::read`: a reader that sees one of the new frames
        // sees the position that was published before.
        fence(Ordering::Release);
        for part in self.ring.parts(self.written, bytes) {
            if !part.is_empty() && !self.area.fill(part.start, part.len(), &mut read) {
                return false;
            }
        }
        self.written += (bytes / self.ring.frame_bytes()) as u64;
        // Pairs with the load in `PlaybackReader::written`: the reader sees the frames.
        self.area.word(Field::CardPosition).store(self.written, Ordering::Release);
        true
    }

    /// Returns whether the audio process has to be woken for what was written before this call.
    pub fn needs_wake(&self) -> bool {
        // Pairs with the fence in `PlaybackReader::sleeps`: either this side sees that the other
        // one sleeps, or the other side sees the frames.
        fence(Ordering::SeqCst);
        self.area.get(Field::Asleep) != 0 && self.area.word(Field::Asleep).swap(0, Ordering::Relaxed) != 0
    }

    /// Sets what the take has to do.
    pub fn set_mode(&self, mode: Mode) {
        if mode == Mode::Run {
            self.area.set(Field::Started, 1);
        }
        // Pairs with the load in `PlaybackReader::mode`.
        self.area.word(Field::Mode).store(mode.code(), Ordering::Release);
    }

    /// Sets how far the guest has played.
    pub fn set_played(&self, played: Played) {
        played.write(&self.area);
    }

    /// Sets the factor of all samples.
    pub fn set_gain(&self, gain: f64) {
        self.area.set(Field::Gain, gain.to_bits());
    }

    /// Returns the number of frames written.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Returns the number of the first frame that the sink has not been given and may still get.
    pub fn first(&self) -> u64 {
        let oldest = self.written.saturating_sub(self.ring.capacity());
        self.area.get(Field::AudioPosition).clamp(oldest, self.written)
    }

    /// Returns the number of frames that the audio process has dropped.
    pub fn dropped(&self) -> u64 {
        self.area.get(Field::Dropped).min(self.written)
    }

    /// Returns how far the sink has played; `None` while the audio process writes its progress,
    /// or if the process was stopped meanwhile.
    pub fn progress(&self) -> Option<Progress> {
        Progress::read(&self.area, self.written)
    }
}

/// The audio process's side of a take that plays.
#[derive(Debug)]
pub struct PlaybackReader {
    area: SharedArea,
    ring: Ring,
    /// How many frames behind the card's position are not being overwritten: the card writes at
    /// most a buffer at a time.
    window: u64,
}

impl PlaybackReader {
    /// Opens the ring that the card has created for a stream with `params`.
    ///
    /// # Errors
    ///
    /// Fails if the file is not such a ring.
    pub fn open(file: File, params: &Params) -> io::Result<Self> {
        let area = SharedArea::open(file, ring_bytes(params))?;
        let ring = Ring::new(params, area.bytes());
        let window = ring.capacity() - params.frames(params.buffer_bytes.into());
        Ok(Self { area, ring, window })
    }

    /// Returns the number of frames written.
    pub fn written(&self) -> u64 {
        // Pairs with the store in `PlaybackWriter::write`.
        self.area.word(Field::CardPosition).load(Ordering::Acquire)
    }

    /// Returns the number of the oldest frame that can be read.
    pub fn oldest(&self) -> u64 {
        self.written().saturating_sub(self.window)
    }

    /// Copies whole frames from frame number `first` on to `to`. Returns false if they may have
    /// been overwritten meanwhile.
    pub fn read(&self, first: u64, to: &mut [u8]) -> bool {
        let [before, after] = self.ring.parts(first, to.len());
        let (to_before, to_after) = to.split_at_mut(before.len());
        self.area.copy_out(before.start, to_before);
        self.area.copy_out(after.start, to_after);
        // Pairs with the fence in `PlaybackWriter::write`: a frame is overwritten only after a
        // position has been published that is further ahead.
        fence(Ordering::Acquire);
        first >= self.oldest()
    }

    /// Returns what the take has to do.
    pub fn mode(&self) -> Mode {
        // Pairs with the store in `PlaybackWriter::set_mode`.
        Mode::from_code(self.area.word(Field::Mode).load(Ordering::Acquire))
    }

    /// Returns whether the take was ever started.
    pub fn started(&self) -> bool {
        self.area.get(Field::Started) != 0
    }

    /// Returns how far the guest has played.
    pub fn played(&self) -> Played {
        Played::read(&self.area)
    }

    /// Returns the factor of all samples.
    pub fn gain(&self) -> f64 {
        f64::from_bits(self.area.get(Field::Gain))
    }

    /// Returns the number of frames that earlier audio processes have dropped.
    pub fn dropped(&self) -> u64 {
        self.area.get(Field::Dropped)
    }

    /// Sets the first frame that the sink has not been given, and the number of dropped frames.
    pub fn set_position(&self, first: u64, dropped: u64) {
        self.area.set(Field::AudioPosition, first);
        self.area.set(Field::Dropped, dropped);
    }

    /// Makes the progress of the sink visible to the card.
    pub fn set_progress(&self, progress: &Progress) {
        progress.write(&self.area);
    }

    /// Announces that the reader sleeps until there are more than `seen` frames. Returns false if
    /// there are more already.
    pub fn sleeps(&self, seen: u64) -> bool {
        self.area.set(Field::Asleep, 1);
        // Pairs with the fence in `PlaybackWriter::needs_wake`.
        fence(Ordering::SeqCst);
        self.written() == seen
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::pcm::tests::{s16_stereo, u8_mono};

    fn pair(params: &Params) -> (PlaybackWriter, PlaybackReader) {
        let writer = PlaybackWriter::create(params).unwrap();
        let reader = PlaybackReader::open(writer.file().try_clone().unwrap(), params).unwrap();
        (writer, reader)
    }

    fn write(writer: &mut PlaybackWriter, mut frames: &[u8]) {
        let bytes = frames.len();
        assert!(writer.write(bytes, |part| frames.read_exact(part).is_ok()));
    }

    #[test]
    fn frames_are_read_as_they_were_written_across_the_end_of_the_ring() {
        let params = u8_mono(70, 7);
        let (mut writer, reader) = pair(&params);
        let byte = |frame: u64| (frame % 251).to_le_bytes()[0];
        for message in 0..5_000 {
            let frames: Vec<u8> = (message * 7..message * 7 + 7).map(byte).collect();
            write(&mut writer, &frames);
            let first = reader.oldest();
            let mut all = vec![0; usize::try_from(reader.written() - first).unwrap()];
            assert!(reader.read(first, &mut all));
            assert!(all.iter().copied().eq((first..reader.written()).map(byte)));
        }
    }

    #[test]
    fn frames_that_may_have_been_overwritten_are_refused() {
        let params = u8_mono(80, 8);
        let (mut writer, reader) = pair(&params);
        for _ in 0..max_buffered_bytes(80, 8000) / 8 {
            write(&mut writer, &[1; 8]);
        }
        assert!(reader.read(0, &mut [0; 8]));
        write(&mut writer, &[1; 8]);
        assert!(!reader.read(0, &mut [0; 8]));
        assert!(reader.read(8, &mut [0; 8]));
    }

    #[test]
    fn a_message_that_cannot_be_read_writes_nothing() {
        let (mut writer, reader) = pair(&s16_stereo());
        assert!(!writer.write(8, |_| false));
        assert_eq!((writer.written(), reader.written()), (0, 0));
    }

    #[test]
    fn a_reader_that_sleeps_is_woken_once_for_new_frames() {
        let (mut writer, reader) = pair(&s16_stereo());
        assert!(!writer.needs_wake());
        assert!(reader.sleeps(0));
        write(&mut writer, &[0; 4]);
        assert!(writer.needs_wake());
        assert!(!writer.needs_wake());
        assert!(!reader.sleeps(0), "there are more frames already");
    }

    #[test]
    fn positions_of_the_audio_process_are_clamped() {
        let (mut writer, reader) = pair(&s16_stereo());
        write(&mut writer, &[0; 40]);
        reader.set_position(u64::MAX, u64::MAX);
        assert_eq!((writer.first(), writer.dropped()), (10, 10));
        reader.set_position(3, 1);
        assert_eq!((writer.first(), writer.dropped()), (3, 1));
    }

    #[test]
    fn a_mode_that_the_card_cannot_have_set_ends_the_take() {
        let (writer, reader) = pair(&s16_stereo());
        for mode in [Mode::Run, Mode::Pause, Mode::Drain, Mode::Cut, Mode::Ready] {
            writer.set_mode(mode);
            assert_eq!(reader.mode(), mode);
        }
        assert!(reader.started());
        reader.area.set(Field::Mode, 99);
        assert!(reader.mode().ends());
    }
}
