//! Audio that the guest has given and the sink has not taken yet.

use std::time::Duration;

use bytes::BytesMut;

use super::crossfade::crossfade;
use crate::pcm::Params;
use crate::wire::{Mode, PlaybackReader, Progress};

/// How much more than the latency playback may be late. The guest's position is delayed by this
/// much within two seconds, so that nothing has to be dropped.
const MAX_LATENESS: Duration = Duration::from_millis(150);

/// The duration of the transition where frames are dropped. A sudden one would be heard as a click.
const FADE: Duration = Duration::from_millis(5);

/// The largest piece of audio, in frames. At high sample rates, an empty sink gets several pieces
/// at once.
const MAX_PIECE: u64 = 1 << 16;

/// The frames in the ring of a take, which are numbered from 0 for the first frame of the take.
#[derive(Debug)]
pub struct PlaybackBuffer {
    reader: PlaybackReader,
    params: Params,
    frame_bytes: usize,
    /// What the card has asked for, as of the last [`sync`](Self::sync).
    mode: Mode,
    /// The number of the first frame that was not taken out.
    first: u64,
    /// The number of the next frame that the guest gives.
    end: u64,
    /// Number of frames that were dropped because the sink did not take them in time.
    dropped: u64,
    /// The frames that were dropped last, to be mixed into the next ones.
    fade: Vec<u8>,
}

impl PlaybackBuffer {
    /// Creates a buffer with the frames of a ring from its start on. If the take `resumes` after
    /// the end of another audio process, it starts at the guest's position.
    pub fn new(reader: PlaybackReader, params: &Params, resumes: bool) -> Self {
        let mut buffer = Self {
            params: *params,
            frame_bytes: params.frame_bytes() as usize,
            mode: reader.mode(),
            first: if resumes { reader.played().frames.min(reader.written()) } else { 0 },
            end: 0,
            dropped: reader.dropped(),
            fade: Vec::new(),
            reader,
        };
        buffer.sync();
        buffer
    }

    /// Looks at what the card has written. Drops the oldest frames if there are too many.
    pub fn sync(&mut self) {
        self.mode = self.reader.mode();
        self.end = self.reader.written();
        let oldest = self.reader.oldest();
        self.drop_oldest(oldest.saturating_sub(self.first));
        if self.mode == Mode::Cut {
            // The guest has given them up, so they do not count as dropped.
            self.first = self.end;
        }
    }

    /// Returns what the card has asked for.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the shared side of the buffer.
    pub const fn reader(&self) -> &PlaybackReader {
        &self.reader
    }

    /// Makes the position of the buffer and the progress of the sink visible to the card.
    pub fn report(&self, progress: &Progress) {
        self.reader.set_position(self.first, self.dropped);
        self.reader.set_progress(progress);
    }

    /// Announces that the reader sleeps until there is more audio. Returns false if there is.
    pub fn sleeps(&self) -> bool {
        self.reader.sleeps(self.end)
    }

    /// Returns the number of the first frame in the buffer.
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Returns the number of the next frame that the guest gives.
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Returns whether the sink has been given all frames.
    pub const fn is_empty(&self) -> bool {
        self.first >= self.end
    }

    /// Returns the number of frames that were dropped.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Drops the frames that the guest considers played, before a new sink is opened.
    pub fn drop_played(&mut self) {
        self.drop_oldest(self.reader.played().frames.saturating_sub(self.first));
    }

    /// Takes out what a sink needs to have audio for `latency`, in pieces with the numbers of their
    /// first frames.
    ///
    /// The sink plays what it already has for the time `ahead`, and has not even taken all of it if
    /// `queued` is longer. Frames that would be heard too late after the guest's position are
    /// dropped: all up to the position. `now` is the time in nanoseconds of CLOCK_MONOTONIC.
    pub(super) fn next_pieces(
        &mut self,
        latency: Duration,
        ahead: Duration,
        queued: Duration,
        now: u64,
    ) -> Vec<(u64, BytesMut)> {
        let missing = self.params.frames_in(latency.saturating_sub(ahead.max(queued)));
        if missing > 0 && self.mode == Mode::Run {
            // The guest's position when the next frame is heard, unless the guest stops. The guest
            // may not have given the audio at that position yet.
            let position = self.reader.played().frames_at(now, &self.params) + self.params.frames_in(ahead);
            let late = position.saturating_sub(self.first);
            if self.params.duration(late) > latency + MAX_LATENESS {
                self.skip(late.min(self.end - self.first));
            }
        }
        self.pull_all(missing)
    }

    /// Drops the oldest frames, with a transition to the rest.
    fn skip(&mut self, frames: u64) {
        let len = self.params.frames_in(FADE).min(frames).min(self.end - self.first - frames);
        let mut fade = vec![0; usize::try_from(len).unwrap_or(0) * self.frame_bytes];
        if self.reader.read(self.first, &mut fade) {
            self.fade = fade;
        }
        self.drop_oldest(frames);
    }

    fn drop_oldest(&mut self, frames: u64) {
        let frames = frames.min(self.end - self.first);
        self.first += frames;
        self.dropped += frames;
    }

    /// Takes at most `frames` frames out, in pieces with the numbers of their first frames.
    pub fn pull_all(&mut self, frames: u64) -> Vec<(u64, BytesMut)> {
        let end = self.first.saturating_add(frames);
        std::iter::from_fn(|| self.pull(end - self.first.min(end))).collect()
    }

    /// Takes a piece out. Frames that were overwritten meanwhile are dropped.
    fn pull(&mut self, frames: u64) -> Option<(u64, BytesMut)> {
        while !self.is_empty() {
            let frames = frames.min(MAX_PIECE).min(self.end - self.first);
            if frames == 0 {
                return None;
            }
            let mut piece = BytesMut::zeroed(usize::try_from(frames).unwrap_or(0) * self.frame_bytes);
            let first = self.first;
            if self.reader.read(first, &mut piece) {
                let fade = std::mem::take(&mut self.fade);
                let faded = fade.len().min(piece.len());
                crossfade(&self.params, &fade[..faded], piece.chunks_exact_mut(self.frame_bytes));
                self.first += frames;
                return Some((first, piece));
            }
            self.drop_oldest(self.reader.oldest().saturating_sub(first).max(1));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::pcm::tests::s16_stereo;
    use crate::wire::{PlaybackWriter, Played};

    /// Returns the two sides of a take.
    fn pair() -> (PlaybackWriter, PlaybackBuffer) {
        let params = s16_stereo();
        let writer = PlaybackWriter::create(&params).unwrap();
        let reader = PlaybackReader::open(writer.file().try_clone().unwrap(), &params).unwrap();
        (writer, PlaybackBuffer::new(reader, &params, false))
    }

    const fn at_0(frames: u64) -> Played {
        Played { frames, limit: frames, sampled_at: 0 }
    }

    /// Writes frames, and looks at them.
    fn push(writer: &mut PlaybackWriter, buffer: &mut PlaybackBuffer, mut frames: &[u8]) {
        while !frames.is_empty() {
            let (mut message, rest) = frames.split_at(frames.len().min(7680));
            let bytes = message.len();
            assert!(writer.write(bytes, |part| message.read_exact(part).is_ok()));
            frames = rest;
        }
        buffer.sync();
    }

    /// Takes at most `frames` frames out, which must be contiguous in numbers.
    fn take(buffer: &mut PlaybackBuffer, frames: u64) -> Option<(u64, Vec<u8>)> {
        let pieces = buffer.pull_all(frames);
        let (first, _) = *pieces.first()?;
        let mut bytes = Vec::new();
        for (number, piece) in pieces {
            assert_eq!(number, first + (bytes.len() / 4) as u64);
            bytes.extend(piece);
        }
        Some((first, bytes))
    }

    #[test]
    fn frames_come_out_once_in_order_and_numbered() {
        let (mut writer, mut buffer) = pair();
        push(&mut writer, &mut buffer, &[1, 1, 1, 1, 2, 2, 2, 2]);
        push(&mut writer, &mut buffer, &[3, 3, 3, 3]);
        assert_eq!(take(&mut buffer, 2), Some((0, vec![1, 1, 1, 1, 2, 2, 2, 2])));
        assert_eq!(take(&mut buffer, 9), Some((2, vec![3, 3, 3, 3])));
        assert_eq!(take(&mut buffer, 9), None);
        assert_eq!((buffer.first(), buffer.end()), (3, 3));
    }

    #[test]
    fn the_oldest_frames_are_dropped_if_the_sink_does_not_take_them() {
        let (mut writer, mut buffer) = pair();
        push(&mut writer, &mut buffer, &vec![0; 10 * 48_000 * 4]);
        let params = s16_stereo();
        let kept = 2 * 48_000 + 2 * params.frames(params.buffer_bytes.into());
        assert_eq!(
            (buffer.end(), buffer.first(), buffer.dropped()),
            (480_000, 480_000 - kept, 480_000 - kept)
        );
    }

    #[test]
    fn drop_played_drops_the_played_frames_and_no_others() {
        let (mut writer, mut buffer) = pair();
        for (played, first) in [(4, 4), (4, 4), (99, 10)] {
            writer.set_played(at_0(played));
            let new: &[u8] = if buffer.end() == 0 { &[0; 40] } else { &[] };
            push(&mut writer, &mut buffer, new);
            buffer.drop_played();
            assert_eq!((buffer.first(), buffer.end(), buffer.dropped()), (first, 10, first));
        }
    }

    #[test]
    fn a_take_that_resumes_starts_at_the_guests_position() {
        let (mut writer, mut buffer) = pair();
        push(&mut writer, &mut buffer, &[0; 400]);
        writer.set_played(at_0(70));
        let params = s16_stereo();
        let reader = PlaybackReader::open(writer.file().try_clone().unwrap(), &params).unwrap();
        let resumed = PlaybackBuffer::new(reader, &params, true);
        assert_eq!((resumed.first(), resumed.end(), resumed.dropped()), (70, 100, 0));
    }

    #[test]
    fn frames_that_would_be_late_are_dropped_up_to_the_guests_position() {
        let (ms, latency) = (Duration::from_millis, Duration::from_millis(40));
        for (frames, limit, passed, dropped) in [
            (8640, 8640, 0, 0),
            (8641, 8641, 0, 9121),
            (48_000, 48_000, 0, 48_480),
            // The position moves with time, and not past the limit.
            (8161, 96_000, 9, 0),
            (8161, 96_000, 10, 9121),
            (8160, 8640, 1000, 0),
            (8160, 8641, 1000, 9121),
        ] {
            let (mut writer, mut buffer) = pair();
            writer.set_mode(Mode::Run);
            writer.set_played(Played { frames, limit, sampled_at: 0 });
            push(&mut writer, &mut buffer, &vec![0; 96_000 * 4]);
            // 10 ms are in the sink; 30 ms are missing.
            let pieces = buffer.next_pieces(latency, ms(10), ms(10), passed * 1_000_000);
            let bytes: usize = pieces.iter().map(|(_, bytes)| bytes.len()).sum();
            assert_eq!((pieces[0].0, bytes, buffer.dropped()), (dropped, 1440 * 4, dropped));
        }
    }

    #[test]
    fn dropped_frames_are_mixed_into_the_next_ones() {
        let latency = Duration::from_millis(40);
        let (mut writer, mut buffer) = pair();
        writer.set_mode(Mode::Run);
        writer.set_played(at_0(20_000));
        let frames = |value: i16, frames: usize| value.to_le_bytes().repeat(2 * frames);
        push(&mut writer, &mut buffer, &[frames(-1000, 20_000), frames(1000, 20_000)].concat());
        let pieces = buffer.next_pieces(latency, Duration::ZERO, Duration::ZERO, 0);
        let samples: Vec<i16> =
            pieces[0].1.chunks_exact(4).map(|frame| i16::from_le_bytes([frame[0], frame[1]])).collect();
        assert!(
            samples[0] < -980 && samples[..240].is_sorted() && samples[240..].iter().all(|it| *it == 1000)
        );
    }

    #[test]
    fn nothing_is_dropped_at_the_end_or_for_a_sink_that_stalls() {
        let latency = Duration::from_millis(40);
        for (mode, queued) in [(Mode::Drain, Duration::ZERO), (Mode::Run, latency)] {
            let (mut writer, mut buffer) = pair();
            writer.set_mode(mode);
            writer.set_played(at_0(96_000));
            push(&mut writer, &mut buffer, &vec![0; 96_000 * 4]);
            buffer.next_pieces(latency, Duration::ZERO, queued, 0);
            assert_eq!(buffer.dropped(), 0);
        }
    }

    #[test]
    fn a_cut_drops_the_remaining_frames_and_a_drain_does_not() {
        let (mut writer, mut buffer) = pair();
        writer.set_mode(Mode::Drain);
        push(&mut writer, &mut buffer, &[0; 8]);
        assert!(take(&mut buffer, 1).is_some());
        writer.set_mode(Mode::Cut);
        buffer.sync();
        assert!(take(&mut buffer, 1).is_none() && buffer.is_empty() && buffer.dropped() == 0);
    }
}
