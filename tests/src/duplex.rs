//! A guest that plays and records the counting pattern at the same time through snd-host.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use hound::WavWriter;

use crate::artifacts::GuestImage;
use crate::check;
use crate::guest::{self, Overlay};
use crate::pattern::{Frame, Pattern};
use crate::playback::{Outcome, PlaybackError, Ring, Session, remove_old_recording, wav_sink};

/// The number of seconds by which the source is longer than the recording.
const SPARE_SECONDS: u8 = 2;

/// The outcome of a run.
#[derive(Debug)]
pub struct Duplex {
    /// The comparison of the audio that the host received with the pattern.
    pub played: check::Report,
    /// The WAV file with that audio.
    pub played_at: PathBuf,
    /// The comparison of the audio that the guest recorded with the beginning of the pattern.
    pub recorded: check::Report,
    /// The WAV file with that audio.
    pub recorded_at: PathBuf,
    /// The path at which a picture of both recordings may be written.
    pub picture: PathBuf,
    /// The guest's report.
    pub guest: guest::Report,
    /// The memory files that snd-host had while the guest ran.
    pub memory: BTreeSet<String>,
}

/// Plays and records a pattern of `seconds` seconds in a guest at the same time.
///
/// The audio passes through the snd-host at `program` and, if there is one, through isolation-host.
/// The files in `directory` are named after `ring`.
///
/// # Errors
/// Fails if there is no recording to compare, or if the guest uses the other ring format. Wrong
/// frames are not an error; the reports count them.
pub fn run(
    program: &Path,
    isolated_by: Option<&Path>,
    image: &GuestImage,
    seconds: u8,
    ring: Ring,
    directory: &Path,
) -> Result<Duplex, PlaybackError> {
    let name = format!("{ring}{}", if isolated_by.is_some() { "-isolated" } else { "" });
    let file = |what: &str| directory.join(format!("{name}-{what}"));
    let (played_at, recorded_at) = (file("played.wav"), file("recorded.wav"));
    remove_old_recording(&played_at)?;
    remove_old_recording(&recorded_at)?;
    let temporary = tempfile::tempdir().map_err(PlaybackError::Directory)?;
    let (source, serial) = (temporary.path().join("source.wav"), temporary.path().join("recorded.raw"));
    let pattern = Pattern::seconds(seconds);
    let longer = Pattern::seconds(seconds.saturating_add(SPARE_SECONDS));
    fs::write(&source, longer.to_wav()).map_err(PlaybackError::Unreadable)?;

    let source = format!("filesrc location=\"{}\" ! wavparse", source.display());
    let session = Session {
        isolated_by,
        options: &["--sink", &wav_sink(&played_at), "--source", &source],
        serial_output: Some(&serial),
        ..Session::new(program, image, ring, directory)
    };
    let overlay = Overlay::script(&script(seconds)).file("pattern.wav", pattern.to_wav());
    let Outcome { guest, memory, .. } = session.run(&overlay, pattern.duration())?;
    Ok(Duplex {
        played: pattern.check_wav(&played_at)?,
        played_at,
        recorded: check_recorded(pattern, &serial, &recorded_at)?,
        recorded_at,
        picture: directory.join(format!("{name}.png")),
        guest,
        memory,
    })
}

/// Compares raw audio with the beginning of `pattern`, and writes the audio to a WAV file.
fn check_recorded(pattern: Pattern, raw: &Path, wav: &Path) -> Result<check::Report, PlaybackError> {
    let recorded = fs::read(raw).map_err(PlaybackError::Unreadable)?;
    let samples: Vec<i16> = recorded.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect();
    write_wav(wav, pattern, &samples).map_err(PlaybackError::Unwritable)?;
    let (frames, _) = samples.as_chunks();
    Ok(check_beginning(pattern, frames))
}

/// Returns the guest's script: `aplay` plays while `arecord` records in the background.
fn script(seconds: u8) -> String {
    format!(
        "set -e
        stty -F /dev/ttyS1 raw
        arecord -q -D hw:0,0 -t raw -f S16_LE -c 2 -r {} -d {seconds} /recorded & recorder=$!
        aplay -q -D hw:0,0 /pattern.wav
        wait $recorder
        cat /recorded > /dev/ttyS1",
        Pattern::RATE
    )
}

/// Compares frames with the beginning of a pattern. Silence may precede the source's first frame.
fn check_beginning(pattern: Pattern, frames: &[Frame]) -> check::Report {
    let silence = frames.iter().take_while(|frame| **frame == [0, 0]).count();
    let expected = u32::try_from(frames.len() - silence).unwrap_or(u32::MAX).min(pattern.frames());
    Pattern::new(expected).unwrap_or(pattern).check(frames)
}

fn write_wav(path: &Path, pattern: Pattern, samples: &[i16]) -> hound::Result<()> {
    let mut wav = WavWriter::create(path, pattern.spec())?;
    for sample in samples {
        wav.write_sample(*sample)?;
    }
    wav.finalize()
}
