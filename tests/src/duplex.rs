//! A guest that plays the counting pattern while it records it: both ways at once through snd-host.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hound::WavWriter;

use crate::artifacts::GuestImage;
use crate::check;
use crate::guest::{self, Overlay};
use crate::pattern::{Frame, Pattern};
use crate::playback::{PlaybackError, Ring, Session, Visit, wav_sink};

/// How many more seconds the source has than are recorded.
const SPARE_SECONDS: u8 = 2;

/// What came of it.
#[derive(Debug)]
pub struct Duplex {
    /// What the guest played, as the host received it.
    pub played: check::Report,
    /// Where that is: a WAV file.
    pub played_at: PathBuf,
    /// What the guest recorded: the pattern, up to where the recording ends.
    pub recorded: check::Report,
    /// Where that is: a WAV file.
    pub recorded_at: PathBuf,
    /// Where a picture of both may be put.
    pub picture: PathBuf,
    /// What the guest says.
    pub guest: guest::Report,
    /// The memory of others that snd-host had meanwhile.
    pub memory: BTreeSet<String>,
}

/// Plays and records a pattern of so many seconds in a guest at the same time, through the snd-host at `program`
/// and, if there is one, an isolation-host. What is left of it goes to `directory`, into files that are named
/// after `ring`.
///
/// # Errors
/// If there is nothing to compare, or the guest used the other ring format. Wrong frames are no error: they are
/// what the reports tell.
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
    // What an earlier run left must not be taken for what this one brings.
    for path in [&played_at, &recorded_at] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PlaybackError::OldRecording(error));
            }
            _ => {}
        }
    }
    let own = tempfile::tempdir().map_err(PlaybackError::Directory)?;
    let (source, handed_over) = (own.path().join("source.wav"), own.path().join("recorded.raw"));
    let pattern = Pattern::seconds(seconds);
    let longer = Pattern::seconds(seconds.saturating_add(SPARE_SECONDS));
    fs::write(&source, longer.to_wav()).map_err(PlaybackError::Unreadable)?;

    let session = Session {
        program,
        isolated_by,
        image,
        ring,
        options: &[
            "--sink",
            &wav_sink(&played_at),
            "--source",
            &format!("filesrc location=\"{}\" ! wavparse", source.display()),
        ],
        writable: directory,
        properties: &[],
        handed_over: Some(&handed_over),
    };
    let overlay = Overlay::script(&script(seconds)).file("pattern.wav", pattern.to_wav());
    let Visit { guest, memory, .. } = session.run(&overlay, pattern.duration())?;

    let recorded = fs::read(&handed_over).map_err(PlaybackError::Unreadable)?;
    let samples: Vec<i16> = recorded.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect();
    write_wav(&recorded_at, pattern, &samples).map_err(PlaybackError::Unwritable)?;
    let (frames, _) = samples.as_chunks();
    Ok(Duplex {
        played: pattern.check_wav(&played_at)?,
        played_at,
        recorded: check_beginning(pattern, frames),
        recorded_at,
        picture: directory.join(format!("{name}.png")),
        guest,
        memory,
    })
}

/// What the guest does: `arecord` counts its seconds in the background.
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

/// Compares frames with the beginning of a pattern: as much of it as there is room for after the silence
/// before a source gives anything.
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
