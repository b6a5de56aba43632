//! A sound server in a real guest uses the card for the streams of its clients.

mod pipewire;
mod pulseaudio;

use std::error::Error;
use std::fs::{self, File};
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::daemon::Daemon;
use end_to_end::guest::{Device, Guest, Overlay};
use end_to_end::pattern::Pattern;
use end_to_end::runs::{Run, runs};

/// The length of what is played, and of what is recorded.
const SECONDS: u8 = 10;
/// The size of what is recorded.
const BYTES: usize = SECONDS as usize * 192_000;

/// The length of the source. A server records from the moment at which it opens the card.
const SOURCE_SECONDS: u8 = 120;

const WITHIN: Duration = Duration::from_secs(240);

/// Boots a guest that plays `/pattern`, and that writes what it has recorded to its disk.
fn play_and_record(overlay: Overlay) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = |name: &str| directory.path().join(name);
    let (played, recorded) = (file("played"), file("recorded"));
    fs::write(file("in.wav"), Pattern::seconds(SOURCE_SECONDS).to_wav())?;
    File::create(&recorded)?.set_len(BYTES as u64)?;
    let sink = format!("filesink location={} append=true sync=true", played.display());
    let source = format!("filesrc location={} ! wavparse", file("in.wav").display());
    let options = ["--latency", "500", "--sink", &sink, "--source", &source, "--writable"];
    let options = options.iter().map(AsRef::as_ref).chain([directory.path().as_os_str()]);
    let mut daemon = Daemon::start(&program("snd-host", Profile::Debug)?, &file("snd.sock"), options)?;

    let pattern = Pattern::seconds(SECONDS);
    let overlay = overlay.file("pattern", pattern.to_raw());
    let device = Device::vhost_user("vhost-user-snd-pci", daemon.socket()).with_disk(&recorded);
    let report = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?
        .finish(WITHIN)
        .inspect_err(|error| eprintln!("{error}\n{}", daemon.log().join("\n")))?;
    daemon.wait_until_closed(&played)?;

    let latency = report.output.iter().filter(|line| line.to_lowercase().contains("latency"));
    latency.for_each(|line| println!("{line}"));
    let played = runs(&Pattern::found(&fs::read(&played)?))?;
    in_order("played", &played);
    let ends = (played.first().map(|run| run.first), played.last().map(|run| run.end));
    assert_eq!(ends, (Some(0), Some(pattern.frames())), "the first or the last frame was not heard");
    let recorded = runs(&Pattern::found(&fs::read(&recorded)?))?;
    let (frames, silence) = in_order("recorded", &recorded);
    let before = recorded.first().map_or(0, |run| run.silence);
    assert_eq!(before + frames + silence, BYTES / 4, "the recording ends with silence");
    Ok(())
}

/// Asserts that each run continues the one before it. Prints and returns the number of frames, and
/// of the silent frames in between, which a server inserts on a busy machine.
fn in_order(what: &str, runs: &[Run]) -> (usize, usize) {
    let mut silence = 0;
    for pair in runs.windows(2) {
        assert_eq!(pair[1].first, pair[0].end, "{what}: {:?} {:?}", pair[0], pair[1]);
        silence += pair[1].silence;
    }
    let frames = runs.iter().map(|run| (run.end - run.first) as usize).sum();
    println!("{what}: {frames} frames in order, and {silence} frames of silence in between");
    (frames, silence)
}
