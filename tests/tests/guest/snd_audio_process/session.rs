//! A guest that plays and records the counting pattern at the same time.

use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::check::Found;
use end_to_end::daemon::Daemon;
use end_to_end::guest::{Device, Guest, Overlay};
use end_to_end::pattern::Pattern;

use super::FRAME;

/// The longest time that a guest takes to boot, and that programs may be late on a busy machine.
const BOOT: Duration = Duration::from_secs(120);

/// The files of a session in its directory.
const SOURCE: &str = "source.wav";
const RECORDED: &str = "recorded";

/// Starts snd-host. Its source is the pattern, which each audio process reads from its beginning.
pub(super) fn start_card(directory: &Path, sink: &str, seconds: u8) -> Result<Daemon, Box<dyn Error>> {
    let source = directory.join(SOURCE);
    fs::write(&source, Pattern::seconds(seconds).to_wav())?;
    let socket = directory.join("snd.sock");
    // Frames are dropped only if playback is later than this latency plus 150 ms.
    let source = format!("filesrc location={} ! wavparse", source.display());
    let options = ["--latency", "500", "--sink", sink, "--source", &source, "--writable"];
    let options = options.into_iter().map(OsStr::new).chain([directory.as_os_str()]);
    Ok(Daemon::start(&program("snd-host", Profile::Debug)?, &socket, options)?)
}

/// Returns the guest's script: `aplay` plays while `arecord` records. Both have to succeed.
fn script(seconds: u8) -> String {
    format!(
        "set -e
        runs() {{ grep -q RUNNING /proc/asound/card0/$1/sub0/status; }}
        (until runs pcm0p && runs pcm0c; do sleep 0.1; done; echo playing) &
        read start idle </proc/uptime
        took() {{ read end idle </proc/uptime; echo \"$1: $(echo \"$start $end\" | awk '{{ print $2 - $1 }}')\"; }}
        arecord -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 -d {seconds} /recorded & recorder=$!
        aplay -q -D hw:0,0 /pattern.wav
        took aplay
        wait $recorder
        took arecord
        cat /recorded >/dev/vda
        sync"
    )
}

/// Boots a guest that plays and records, and calls `meanwhile` once it does both. Returns what the
/// guest has recorded, and the result of `meanwhile`.
pub(super) fn play_and_record<T>(
    card: &mut Daemon,
    directory: &Path,
    pattern: Pattern,
    meanwhile: impl FnOnce(&mut Daemon) -> Result<T, Box<dyn Error>>,
) -> Result<(Vec<Found>, T), Box<dyn Error>> {
    let recorded = directory.join(RECORDED);
    let seconds = u8::try_from(pattern.duration().as_secs())?;
    File::create(&recorded)?.set_len(u64::from(pattern.frames()) * FRAME)?;
    let device = Device::vhost_user("vhost-user-snd-pci", card.socket()).with_disk(&recorded);
    let overlay = Overlay::script(&script(seconds)).file("pattern.wav", pattern.to_wav());
    let mut guest = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?;
    guest.wait_for_lines("playing", 1, BOOT)?;
    let outcome = meanwhile(card);
    let report = guest.finish(BOOT + pattern.duration());
    let report = report.inspect_err(|error| eprintln!("{error}\n{}", card.log().join("\n")))?;
    let outcome = outcome.inspect_err(|error| eprintln!("{error}\n{}", card.log().join("\n")))?;
    let took = |line: &&String| line.starts_with("aplay: ") || line.starts_with("arecord: ");
    for line in report.output.iter().filter(took) {
        println!("{line} s by the guest's clock for {seconds} s of audio, exit 0");
    }
    Ok((Pattern::found(&fs::read(&recorded)?), outcome))
}
