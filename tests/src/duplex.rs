//! A guest that plays and records the tune at the same time through snd-host.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::artifacts::GuestImage;
use crate::check;
use crate::command_line::CommandLine;
use crate::guest::{self, Overlay, write_initramfs};
use crate::playback::{LOOK, Outcome, PlaybackError, Ring, Session, remove_old_recording, wav_sink};
use crate::tune::Tune;
use crate::visible::Sight;
use crate::wav::{self, Frame, RATE};

/// The number of seconds by which the source is longer than the recording.
const SPARE_SECONDS: u8 = 2;
/// The files of all runs in a directory: what the guest plays, what the source gives, and the
/// initramfs.
const SENT: &str = "sent.wav";
const SOURCE: &str = "source.wav";
const INITRAMFS: &str = "guest.cpio";

/// The outcome of a run.
#[derive(Debug)]
pub struct Duplex {
    /// What the guest played, and what the host received.
    pub played: Comparison,
    /// What the source gave, and what the guest recorded.
    pub recorded: Comparison,
    /// The guest's report.
    pub guest: guest::Report,
    /// The memory files that snd-host shared with other programs while the guest ran.
    pub memory: BTreeSet<String>,
    /// What snd-host and QEMU could read after the guest had played.
    pub visible: Sight,
    /// The commands that repeat the run.
    pub by_hand: Vec<CommandLine>,
}

/// Two WAV files that should have the same frames.
#[derive(Debug)]
pub struct Comparison {
    /// The result.
    pub report: check::Report,
    /// The WAV file with the audio that was sent.
    pub sent: PathBuf,
    /// The WAV file with the audio that was received. Silence may precede and follow the audio.
    pub received: PathBuf,
}

impl Duplex {
    /// Returns whether every frame arrived bit-exact, once and in order, in both directions.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.played.report.is_exact() && self.recorded.report.is_exact()
    }
}

/// A guest that plays and records.
#[derive(Debug)]
pub struct Run<'a> {
    /// snd-host.
    pub program: &'a Path,
    /// isolation-host, if it forwards the sound card.
    pub isolated_by: Option<&'a Path>,
    /// The image from which the guest boots.
    pub image: &'a GuestImage,
    /// How long the guest plays.
    pub seconds: u8,
    /// The format of snd-host's virtqueues.
    pub ring: Ring,
    /// The directory of the files, which are named after the ring format.
    pub directory: &'a Path,
    /// What a file in the guest contains.
    pub secret: &'a [u8],
}

impl Run<'_> {
    /// Plays and records the tune in a guest at the same time.
    ///
    /// # Errors
    /// Fails if there is no recording to compare, or if the guest uses the other ring format. Wrong
    /// frames are not an error; the reports count them.
    pub fn play(&self) -> Result<Duplex, PlaybackError> {
        let file = |what: &str| self.directory.join(format!("{}-{what}", self.name()));
        let (received, recorded, serial) = (file("played.wav"), file("recorded.wav"), file("recorded.raw"));
        [&received, &recorded, &serial].into_iter().try_for_each(|it| remove_old_recording(it))?;
        let longer = Tune::seconds(self.seconds.saturating_add(SPARE_SECONDS));
        let tune = longer.beginning(self.seconds);
        let (sent, source) = (self.directory.join(SENT), self.directory.join(SOURCE));
        fs::write(&sent, tune.to_wav()).map_err(PlaybackError::File)?;
        fs::write(&source, longer.to_wav()).map_err(PlaybackError::File)?;

        let (sink, from) = (wav_sink(&received), format!("file:{}", source.display()));
        let session = Session {
            isolated_by: self.isolated_by,
            // With the largest latency, only a very late machine drops frames.
            options: &["--latency", "500", "--sink", &sink, "--source", &from],
            serial_output: Some(&serial),
            secret: Some(self.secret),
            ..Session::new(self.program, self.image, self.ring, self.directory)
        };
        let overlay = self.overlay(&tune);
        let Outcome { guest, memory, visible, .. } = session.run(&overlay, tune.duration())?;
        let played = tune.check_wav(&received)?;
        Ok(Duplex {
            played: Comparison { report: played, sent: sent.clone(), received },
            recorded: Comparison { report: check_raw(&tune, &serial, &recorded)?, sent, received: recorded },
            guest,
            memory,
            visible,
            by_hand: session.by_hand(self.directory, &self.initramfs(&overlay)?),
        })
    }

    /// Returns the start of the names of the run's files.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{}", self.ring, if self.isolated_by.is_some() { "-isolated" } else { "" })
    }

    /// Returns the guest's files: its script, the tune and the secret.
    fn overlay(&self, tune: &Tune) -> Overlay {
        Overlay::script(&script(self.seconds))
            .file("tune.wav", tune.to_wav())
            .file("secret", self.secret.into())
    }

    /// Writes the initramfs with the guest's files, to repeat the run by hand.
    fn initramfs(&self, overlay: &Overlay) -> Result<PathBuf, PlaybackError> {
        let path = self.directory.join(INITRAMFS);
        let written = File::create(&path)
            .and_then(|mut file| write_initramfs(&self.image.initramfs, overlay, &mut file));
        written.map_err(PlaybackError::File)?;
        Ok(path)
    }
}

/// Compares raw audio with the beginning of the tune, and writes the audio to a WAV file.
///
/// Silence may precede the audio, but the recording has to be as long as the tune and not silent.
/// The comparison alone accepts a recording of nothing.
fn check_raw(tune: &Tune, raw: &Path, wav: &Path) -> Result<check::Report, PlaybackError> {
    let recorded = fs::read(raw).map_err(PlaybackError::Unreadable)?;
    let samples: Vec<i16> = recorded.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect();
    let frames: &[Frame] = samples.as_chunks().0;
    let bytes = wav::to_bytes(frames.iter().copied()).map_err(PlaybackError::Unwritable)?;
    fs::write(wav, bytes).map_err(PlaybackError::File)?;
    let report = tune.check_beginning(frames);
    let (frames, expected, audible) = (frames.len(), tune.frames().len(), report.expected);
    if frames < expected || audible == 0 {
        return Err(PlaybackError::Incomplete { frames, expected, audible });
    }
    Ok(report)
}

/// Returns the guest's script: `aplay` plays while `arecord` records in the background.
fn script(seconds: u8) -> String {
    format!(
        "set -e
        stty -F /dev/ttyS1 raw
        arecord -q -D hw:0,0 -t raw -f S16_LE -c 2 -r {RATE} -d {seconds} /recorded & recorder=$!
        aplay -q -D hw:0,0 /tune.wav
        wait $recorder
        echo {LOOK}
        cat /recorded > /dev/ttyS1",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compares these recorded frames with a second of the tune.
    fn checked(frames: &[Frame]) -> Result<check::Report, PlaybackError> {
        let directory = tempfile::tempdir().map_err(PlaybackError::Directory)?;
        let raw = directory.path().join("recorded.raw");
        let bytes: Vec<u8> = frames.iter().flatten().flat_map(|sample| sample.to_le_bytes()).collect();
        fs::write(&raw, bytes).map_err(PlaybackError::File)?;
        check_raw(&Tune::seconds(1), &raw, &directory.path().join("recorded.wav"))
    }

    #[test]
    fn a_recording_that_is_short_or_silent_is_refused() {
        let tune = Tune::seconds(1);
        let frames = tune.frames();
        let silence = vec![[0_i16; 2]; frames.len()];
        let late = [silence[..100].to_vec(), frames[..frames.len() - 100].to_vec()].concat();
        assert!(checked(&late).is_ok_and(|report| report.is_exact()));
        for incomplete in [&frames[..0], &silence[..], &frames[..frames.len() - 1]] {
            let outcome = checked(incomplete);
            assert!(matches!(outcome, Err(PlaybackError::Incomplete { .. })), "{outcome:?}");
        }
    }
}
