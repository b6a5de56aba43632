//! A real guest records the tone that it plays, and no other frequency.

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

/// The length of the recording.
const SECONDS: i32 = 6;
/// The additional length of the tone, so that the recording contains the tone although programs
/// start slowly.
const SPARE_SECONDS: i32 = 2;

/// The number of analysed frames: the last 2.7 s of the recording, after the beginning of the tone.
const ANALYSED: usize = 1 << 17;

/// Returns the tone at half of full scale: S16, stereo.
fn tone() -> Vec<u8> {
    let sample = |frame: i32| (TAU * FREQUENCY * f64::from(frame) / f64::from(RATE)).sin() * 16_384.0;
    #[expect(clippy::cast_possible_truncation, reason = "samples are between -16,384 and 16,384")]
    let bytes = |sample: f64| (sample.round() as i16).to_le_bytes();
    (0..(SECONDS + SPARE_SECONDS) * RATE).flat_map(|frame| [bytes(sample(frame)); 2]).flatten().collect()
}

/// Plays the tone in a guest to a sound server from which the guest records. Returns the recording.
fn loop_back(directory: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let server = SoundServer::within(directory)?;
    let _running = server.start()?;
    let recorded = directory.join("recorded");
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let session = Session {
        options: &["--latency", "200", "--sink", &server.sink(), "--source", &server.monitor()],
        serial_output: Some(&recorded),
        ..Session::new(&program, &image, Ring::Packed, directory)
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

/// Returns the strongest tone at the end of the left channel.
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
fn a_tone_of_997_hz_is_recorded_with_all_else_60_db_below() -> Result<(), Box<dyn Error>> {
    one_of_three(|| {
        let recording = loop_back(tempfile::tempdir()?.path())?;
        let Tone { frequency, clearance } = analyse(&recording).ok_or("the recording is too short")?;
        let measured = format!("{frequency:.3} Hz, all other frequencies at least {clearance:.1} dB below");
        println!("{measured}");
        let good = (frequency - FREQUENCY).abs() <= 1.0 && clearance >= 60.0;
        if good { Ok(()) } else { Err(measured.into()) }
    })
}
