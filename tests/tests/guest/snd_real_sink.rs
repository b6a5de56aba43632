//! A guest plays for ten minutes to PulseAudio on the host. No hardware is needed: the sink
//! discards audio at the rate of the host's clock, and its monitor is recorded. So nothing drifts
//! here; snd-host's simulation has sinks that drift.

use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use end_to_end::artifacts::{GuestImage, Profile, PulseAudio, program};
use end_to_end::daemon::Daemon;
use end_to_end::guest::{Device, Guest, Overlay};
use end_to_end::pattern::Pattern;
use end_to_end::process::Process;
use end_to_end::runs::runs;
use end_to_end::sound_server::SoundServer;

/// The length of what the guest plays.
const MINUTES: u16 = 10;
const SECONDS: u16 = MINUTES * 60;

/// The longest time that booting and starting programs may take.
const BOOT: Duration = Duration::from_secs(120);

/// Plays the guest's disk, from a buffer of 2 s. With less than snd-host's latency, the guest would
/// keep snd-host from being that far ahead.
const SCRIPT: &str = "
    read start idle </proc/uptime
    aplay -q -D hw:0,0 --buffer-size=96000 --period-size=4800 -t raw -f S16_LE -r 48000 -c 2 /dev/vda || exit
    read end idle </proc/uptime
    echo \"took: $(echo \"$start $end\" | awk '{ print $2 - $1 }')\"";

/// Returns the arguments by which `env` sets variables.
fn assignments(environment: impl IntoIterator<Item = (&'static str, OsString)>) -> Vec<OsString> {
    let assignment = |(variable, value): (&str, OsString)| {
        let mut assignment = OsString::from(variable);
        assignment.push("=");
        assignment.push(value);
        assignment
    };
    environment.into_iter().map(assignment).collect()
}

/// Starts snd-host with variables that a client of a sound server needs.
fn start_card(
    directory: &Path,
    environment: impl IntoIterator<Item = (&'static str, OsString)>,
    sink: &str,
) -> Result<Daemon, Box<dyn Error>> {
    let socket = directory.join("snd.sock");
    let mut arguments = assignments(environment);
    arguments.push(program("snd-host", Profile::Debug)?.into());
    arguments.extend(["--socket".into(), socket.clone().into()]);
    // Frames are dropped only if playback is later than this latency plus 150 ms.
    arguments.extend(["--latency", "500", "--sink", sink].map(OsString::from));
    arguments.extend(["--writable".into(), directory.into()]);
    Ok(Daemon::start_with(Path::new("env"), &socket, arguments)?)
}

/// Boots a guest that plays the pattern, and waits until snd-host has given all of it to the sound
/// server. Returns the pattern.
fn play(directory: &Path, mut card: Daemon) -> Result<Pattern, Box<dyn Error>> {
    let pattern = Pattern::new(Pattern::RATE * u32::from(SECONDS))?;
    let disk = directory.join("disk");
    fs::write(&disk, pattern.to_raw())?;
    let device = Device::vhost_user("vhost-user-snd-pci", card.socket()).with_disk(&disk);
    let overlay = Overlay::script(SCRIPT).limit(SECONDS + 120);
    let report = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?
        .finish(BOOT + pattern.duration() + BOOT)
        .inspect_err(|error| eprintln!("{error}\n{}", card.log().join("\n")))?;
    let (_, log) = card.stop()?;
    for line in report.output.iter().filter(|line| line.starts_with("took: ")) {
        println!("{line} s by the guest's clock for {SECONDS} s of audio");
    }
    let released: Vec<&String> = log.iter().filter(|line| line.contains("released")).collect();
    released.iter().for_each(|line| println!("{line}"));
    assert!(matches!(&released[..], [line] if line.contains("dropped=0")), "{}", log.join("\n"));
    Ok(pattern)
}

/// Waits until a recording has grown by some seconds.
fn wait_for_growth(recording: &Path, seconds: u64) -> Result<(), Box<dyn Error>> {
    let length = || fs::metadata(recording).map_or(0, |metadata| metadata.len());
    let (before, deadline) = (length(), Instant::now() + BOOT);
    while length() < before + seconds * u64::from(Pattern::RATE) * 4 {
        if Instant::now() > deadline {
            return Err(format!("{} does not grow beyond {} bytes", recording.display(), length()).into());
        }
        // The program that records sends no event.
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Asserts that what the sound server has played has all frames in order, and prints the gaps. A
/// machine that is busier than the latency allows has gaps.
fn assert_heard(recording: &Path, pattern: Pattern) -> Result<(), Box<dyn Error>> {
    let runs = runs(&Pattern::found(&fs::read(recording)?))?;
    for pair in runs.windows(2) {
        assert_eq!(pair[1].first, pair[0].end, "{:?} {:?}", pair[0], pair[1]);
    }
    let ends = (runs.first().map(|run| run.first), runs.last().map(|run| run.end));
    assert_eq!(ends, (Some(0), Some(pattern.frames())), "the first or the last frame was not heard");
    let gaps: Vec<usize> = runs.iter().skip(1).map(|run| run.silence).collect();
    println!("{} frames heard in order, with {} gaps, in frames: {gaps:?}", pattern.frames(), gaps.len());
    Ok(())
}

#[test]
#[ignore = "only `cargo xtask test --full` takes the time"]
fn ten_minutes_through_pulseaudio_lose_no_frame() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let recording = directory.path().join("recording");
    File::create(&recording)?;
    let server = SoundServer::within(directory.path())?;
    let _running = server.start()?;
    let files = PulseAudio::prepared()?;
    let address = ("PULSE_SERVER", OsString::from(server.address()));
    let mut recorder = assignments([
        address.clone(),
        ("LD_LIBRARY_PATH", files.libraries()),
        ("HOME", directory.path().into()),
    ]);
    recorder.push(files.client.into());
    let form = ["--record", "--raw", "--rate=48000", "--channels=2", "--format=s16le"];
    recorder.extend(form.map(OsString::from));
    recorder.extend(["--device=out.monitor".into(), recording.clone().into()]);
    let _recorder = Process::start("env", recorder)?;
    wait_for_growth(&recording, 1)?;

    let pattern = play(directory.path(), start_card(directory.path(), [address], "pulse:out")?)?;
    wait_for_growth(&recording, 2)?;
    assert_heard(&recording, pattern)
}
