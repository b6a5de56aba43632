//! The audio process's side of a take that records.

use std::fs::File;
use std::io;
use std::sync::atomic::{Ordering, fence};

use super::capture_ring::{LIVE, NOT_LIVE, max_frames, ring_bytes};
use super::fields::Field;
use super::mode::Mode;
use super::ring::Ring;
use super::shared_area::SharedArea;
use crate::pcm::Params;

/// The audio process's side of a take that records.
#[derive(Debug)]
pub struct CaptureWriter {
    area: SharedArea,
    ring: Ring,
    max_frames: u64,
    written: u64,
}

impl CaptureWriter {
    /// Opens the ring that the card has created for a stream with `params`. Continues a recording
    /// of an earlier process.
    ///
    /// # Errors
    ///
    /// Fails if the file is not such a ring.
    pub fn open(file: File, params: &Params) -> io::Result<Self> {
        let area = SharedArea::open(file, ring_bytes(params))?;
        let written = area.get(Field::AudioPosition);
        Ok(Self { ring: Ring::new(params, area.bytes()), area, max_frames: max_frames(params), written })
    }

    /// Returns what the take has to do.
    pub fn mode(&self) -> Mode {
        // Pairs with the store in `CaptureReader::set_mode`.
        Mode::from_code(self.area.word(Field::Mode).load(Ordering::Acquire))
    }

    /// Returns the factor of all samples.
    pub fn gain(&self) -> f64 {
        f64::from_bits(self.area.get(Field::Gain))
    }

    /// Says that a source is open, and whether it delivers audio at its own pace.
    pub fn set_source(&self, live: bool) {
        self.area.set(Field::Source, if live { LIVE } else { NOT_LIVE });
    }

    /// Says that no source is open.
    pub fn no_source(&self) {
        self.area.set(Field::Source, 0);
    }

    /// Returns how many frames can be written without overwriting frames that wait. Only a source
    /// that is not live has to heed it.
    pub fn room(&self) -> u64 {
        // Pairs with the store in `CaptureReader::advance`.
        let read = self.area.word(Field::CardPosition).load(Ordering::Acquire);
        self.max_frames.saturating_sub(self.written.saturating_sub(read))
    }

    /// Announces that the writer sleeps until there is room. Returns false if there is some
    /// already.
    pub fn sleeps(&self) -> bool {
        self.area.set(Field::Asleep, 1);
        // Pairs with the fence in `CaptureReader::needs_wake`.
        fence(Ordering::SeqCst);
        self.room() == 0
    }

    /// Writes whole frames, as one piece.
    pub fn write(&mut self, frames: &[u8]) {
        let frame_bytes = self.ring.frame_bytes();
        let piece = (frames.len() / frame_bytes) as u64;
        for frames in frames[..frames.len() - frames.len() % frame_bytes].chunks(self.max_bytes()) {
            let [before, after] = self.ring.parts(self.written, frames.len());
            let (from_before, from_after) = frames.split_at(before.len());
            // Pairs with the fence in `CaptureReader::copy`: a reader that sees one of the new
            // frames sees the position that was published before.
            fence(Ordering::Release);
            self.area.copy_in(before.start, from_before);
            self.area.copy_in(after.start, from_after);
            self.written += (frames.len() / frame_bytes) as u64;
            self.area.set(Field::Piece, piece.min(self.max_frames));
            // Pairs with the load in `CaptureReader::written`.
            self.area.word(Field::AudioPosition).store(self.written, Ordering::Release);
        }
    }

    /// Returns the largest number of bytes that are written at a time.
    fn max_bytes(&self) -> usize {
        usize::try_from(self.max_frames).unwrap_or(1) * self.ring.frame_bytes()
    }
}
