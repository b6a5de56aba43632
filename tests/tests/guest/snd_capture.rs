//! Linux's sound driver in a real guest records, also while it plays, and plays two streams.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::form::{Form, Format};
use end_to_end::guest::Overlay;
use end_to_end::playback::{Ring, Session};

const SECONDS: u32 = 2;
const RATE: u32 = 48_000;
const FRAMES: u32 = SECONDS * RATE;

fn form(channels: u8) -> Form {
    Form { format: Format::S16, channels, rate: RATE }
}

/// Writes a WAV file with the pattern of `form`, longer than the recording.
fn write_source(path: &Path, form: Form) -> Result<(), hound::Error> {
    let spec = hound::WavSpec {
        channels: form.channels.into(),
        sample_rate: form.rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(path, spec)?;
    for sample in form.pattern(0, FRAMES + RATE).as_chunks().0 {
        wav.write_sample(i16::from_le_bytes(*sample))?;
    }
    wav.finalize()
}

/// The audio of a run.
struct Audio {
    /// The audio that the guest recorded.
    recorded: Vec<u8>,
    /// The audio that the host received from each stream.
    played: [Vec<u8>; 2],
}

/// Runs a script in a guest. The script writes the recording to the second serial port.
fn run(
    ring: Ring,
    source: Form,
    script: &str,
    overlay: impl FnOnce(Overlay) -> Overlay,
) -> Result<Audio, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = |name: &str| directory.path().join(name);
    write_source(&path("in.wav"), source)?;
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let session = Session {
        options: &[
            "--streams",
            "2",
            // Frames are dropped only if playback is later than this latency plus 150 ms.
            "--latency",
            "500",
            "--source",
            &format!("filesrc location={} ! wavparse", path("in.wav").display()),
            "--sink",
            &format!("filesink location={}/out-{{stream}} sync=true", directory.path().display()),
        ],
        serial_output: Some(&path("recorded")),
        ..Session::new(&program, &image, ring, directory.path())
    };
    let script = format!("set -e\nstty -F /dev/ttyS1 raw\n{script}");
    session
        .run(&overlay(Overlay::script(&script)), Duration::from_secs(60))
        .inspect_err(|error| eprintln!("{error}"))?;
    let played = [0, 1].map(|stream| fs::read(path(&format!("out-{stream}"))).unwrap_or_default());
    Ok(Audio { recorded: fs::read(path("recorded"))?, played })
}

/// Returns the command that records to `/recorded`.
fn arecord(form: Form) -> String {
    format!("arecord -q -D hw:0,0 {} -d {SECONDS} /recorded", form.alsa_options())
}

/// Returns the command that plays a file.
fn aplay(form: Form, file: &str) -> String {
    format!("aplay -q -D hw:0,0 {} /{file}", form.alsa_options())
}

/// The number of successive silent frames that cannot be a part of the pattern.
const SILENCE: usize = 16;

/// Removes silence. Silence replaces audio that the source has not delivered in time: before the
/// first frame and, if the machine is busy, later as well.
fn without_silence(form: Form, recording: &[u8]) -> Vec<u8> {
    let silent = |frame: &&[u8]| frame.iter().all(|byte| *byte == 0);
    let frames: Vec<&[u8]> = recording.chunks(form.frame_bytes()).collect();
    let runs = frames.chunk_by(|one, other| silent(one) == silent(other));
    runs.filter(|run| run.len() < SILENCE || !silent(&run[0])).flatten().copied().flatten().copied().collect()
}

/// Asserts that a recording without its silence is the beginning of the pattern.
fn assert_recorded(form: Form, recording: &[u8]) {
    assert!(recording.len() == FRAMES as usize * form.frame_bytes(), "{form}: {} bytes", recording.len());
    let sound = without_silence(form, recording);
    let frames = u32::try_from(sound.len() / form.frame_bytes()).unwrap_or(u32::MAX);
    let report = form.check(0, frames, &sound);
    assert!(frames > 0 && report.is_exact(), "{form}: {report}");
    println!("{form}: recorded {report}, and {} frames of silence", FRAMES - frames);
}

/// Asserts that played audio is the whole pattern.
fn assert_played(form: Form, recording: &[u8]) {
    let report = form.check(0, FRAMES, recording);
    assert!(report.is_exact(), "{form}: {report}");
    println!("{form}: played {report}");
}

#[test]
fn a_guest_records_mono_exactly_and_plays_two_streams_at_once() -> Result<(), Box<dyn Error>> {
    let (mono, stereo) = (form(1), form(2));
    let script = format!(
        "{}\ncat /recorded > /dev/ttyS1\n{} & first=$!\n{}\nwait $first",
        arecord(mono),
        aplay(mono, "mono"),
        aplay(stereo, "stereo"),
    );
    let Audio { recorded, played: [first, second] } = run(Ring::Split, mono, &script, |overlay| {
        overlay.file("mono", mono.pattern(0, FRAMES)).file("stereo", stereo.pattern(0, FRAMES))
    })?;
    assert_recorded(mono, &recorded);
    // Either of the two programs may have opened the first stream.
    let (mono_played, stereo_played) =
        if first.len() < second.len() { (first, second) } else { (second, first) };
    assert_played(mono, &mono_played);
    assert_played(stereo, &stereo_played);
    Ok(())
}

#[test]
fn a_guest_records_stereo_exactly_while_it_plays() -> Result<(), Box<dyn Error>> {
    let stereo = form(2);
    let script = format!(
        "{} & recorder=$!\n{}\nwait $recorder\ncat /recorded > /dev/ttyS1",
        arecord(stereo),
        aplay(stereo, "stereo")
    );
    let Audio { recorded, played: [played, _] } =
        run(Ring::Packed, stereo, &script, |overlay| overlay.file("stereo", stereo.pattern(0, FRAMES)))?;
    assert_recorded(stereo, &recorded);
    assert_played(stereo, &played);
    Ok(())
}
