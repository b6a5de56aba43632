//! A real guest plays from memory-mapped buffers of tiny periods.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::guest::Overlay;
use end_to_end::pattern::Pattern;
use end_to_end::playback::{Outcome, Ring, Session};
use end_to_end::runs::runs;

const SECONDS: u8 = 5;

/// Plays with 16 periods of 64 frames: a buffer of 21 ms. An emulated guest on a busy machine reads
/// the position later than that, and ALSA reports an underrun, which `aplay` recovers from.
const SCRIPT: &str = "
    read start idle </proc/uptime
    aplay -M -D hw:0,0 --period-size=64 --buffer-size=1024 /pattern.wav || exit
    read end idle </proc/uptime
    echo \"took: $(echo \"$start $end\" | awk '{ print $2 - $1 }')\"";

#[test]
fn a_guest_plays_mapped_buffers_of_sixteen_periods_of_64_frames() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let played = directory.path().join("played");
    let (program, image) = (program("snd-host", Profile::Debug)?, GuestImage::prepared()?);
    let sink = format!("filesink location={} append=true sync=true", played.display());
    let session = Session {
        options: &["--latency", "500", "--sink", &sink],
        ..Session::new(&program, &image, Ring::Packed, directory.path())
    };
    let pattern = Pattern::seconds(SECONDS);
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", pattern.to_wav());
    let Outcome { guest, .. } =
        session.run(&overlay, Duration::from_secs(120)).inspect_err(|error| eprintln!("{error}"))?;
    let underruns = guest.output.iter().filter(|line| line.contains("underrun")).count();
    let took = guest.output.iter().find_map(|line| line.strip_prefix("took: ")).unwrap_or_default();
    println!("{SECONDS} s of audio took {took} s by the guest's clock, with {underruns} underruns, exit 0");
    let runs = runs(&Pattern::found(&std::fs::read(&played)?))?;
    assert!(matches!(runs[..], [run] if run.first == 0 && run.end == pattern.frames()), "{runs:?}");
    Ok(())
}
