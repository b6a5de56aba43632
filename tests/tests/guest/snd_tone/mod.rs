//! A tone that a real guest plays comes back to it as that tone and nothing else.

mod spectrum;

use std::error::Error;
use std::f64::consts::TAU;
use std::fs;
use std::path::Path;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::attempts::one_of_three;
use end_to_end::guest::Overlay;
use end_to_end::playback::{Ring, Session};
use end_to_end::sound_server::SoundServer;
use spectrum::{Tone, strongest_tone};

const RATE: i32 = 48_000;
const FREQUENCY: f64 = 997.0;

/// How long the guest records. The tone is longer by as much as a program may need to start.
const SECONDS: i32 = 6;
const SPARE_SECONDS: i32 = 2;

/// The frames at the end of the recording that are looked at: the last 2.7 s, long after the tone has begun.
const ANALYSED: usize = 1 << 17;

/// The tone at half the volume there is: S16, stereo.
fn tone() -> Vec<u8> {
    let sample = |frame: i32| (TAU * FREQUENCY * f64::from(frame) / f64::from(RATE)).sin() * 16_384.0;
    #[expect(clippy::cast_possible_truncation, reason = "samples are between -16,384 and 16,384")]
    let bytes = |sample: f64| (sample.round() as i16).to_le_bytes();
    (0..(SECONDS + SPARE_SECONDS) * RATE).flat_map(|frame| [bytes(sample(frame)); 2]).flatten().collect()
}

/// Plays the tone in a guest, to a sound server from which the guest records. Returns what it recorded.
fn loop_back(directory: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let server = SoundServer::within(directory);
    let _running = server.start()?;
    let recorded = directory.join("recorded");
    let session = Session {
        program: &program("snd-host", Profile::Debug)?,
        image: &GuestImage::prepared()?,
        ring: Ring::Packed,
        options: &["--latency", "200", "--sink", &server.sink(), "--source", &server.monitor()],
        writable: directory,
        properties: &[],
        handed_over: Some(&recorded),
        isolated_by: None,
    };
    let script = format!(
        "set -e
        stty -F /dev/ttyS1 raw
        form='-q -D hw:0,0 -t raw -f S16_LE -c 2 -r {RATE}'
        arecord $form -d {SECONDS} /recorded & recorder=$!
        aplay $form /tone
        wait $recorder
        cat /recorded > /dev/ttyS1"
    );
    let overlay = Overlay::script(&script).file("tone", tone());
    session.run(&overlay, Duration::from_secs(60))?;
    Ok(fs::read(recorded)?)
}

/// The tone at the end of the left channel.
fn analyse(recording: &[u8]) -> Option<Tone> {
    let left: Vec<f64> = recording
        .as_chunks::<4>()
        .0
        .iter()
        .map(|frame| i16::from_le_bytes([frame[0], frame[1]]).into())
        .collect();
    let start = left.len().checked_sub(ANALYSED)?;
    strongest_tone(&left[start..], RATE.into())
}

#[test]
fn a_tone_of_997_hz_is_recorded_as_997_hz_and_nothing_else_within_60_db() -> Result<(), Box<dyn Error>> {
    one_of_three(|| {
        let recording = loop_back(tempfile::tempdir()?.path())?;
        let Tone { frequency, clearance } = analyse(&recording).ok_or("too little was recorded")?;
        let measured = format!("{frequency:.3} Hz, all else at least {clearance:.1} dB below");
        println!("{measured}");
        let good = (frequency - FREQUENCY).abs() <= 1.0 && clearance >= 60.0;
        if good { Ok(()) } else { Err(measured.into()) }
    })
}
