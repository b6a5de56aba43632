//! One snd-host serves several machines one after the other, however each machine ends.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::daemon::Daemon;
use end_to_end::forwarding::start_forwarder;
use end_to_end::guest::{Device, Guest, Overlay};
use end_to_end::pattern::Pattern;

const SECONDS: u8 = 3;

const BOOT_AND_PLAY: Duration = Duration::from_secs(120);

/// Plays, and prints a line once the card has played for a second.
const SCRIPT: &str = "until grep -q RUNNING /proc/asound/card0/pcm0p/sub0/status; do sleep 0.1; done && \
     sleep 1 && echo playing &
aplay -q -D hw:0,0 /pattern.wav";

/// Plays to the end.
const PLAY: &str = "aplay -q -D hw:0,0 /pattern.wav";

/// Reboots the guest once while it plays, and then plays to the end. The disk records the reboot.
const REBOOT: &str = "
    play='aplay -q -D hw:0,0 /pattern.wav'
    [ \"$(head -c 8 /dev/vda)\" != rebooted ] || exec $play
    $play &
    until grep -q RUNNING /proc/asound/card0/pcm0p/sub0/status; do sleep 0.1; done
    sleep 1
    echo rebooted >/dev/vda && sync && reboot -f
    sleep 60";

/// Starts an snd-host that listens in a directory and may write there.
fn sound_card(sink: &str, directory: &Path, further: &[&str]) -> Result<Daemon, Box<dyn Error>> {
    let options = ["--sink".as_ref(), sink.as_ref(), "--writable".as_ref(), directory.as_os_str()];
    let options = options.into_iter().chain(further.iter().map(OsStr::new));
    Ok(Daemon::start(&program("snd-host", Profile::Debug)?, &directory.join("snd.sock"), options)?)
}

#[test]
fn a_killed_or_reset_machine_leaves_a_sound_card_for_the_next_one() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let recording = |take: usize| directory.path().join(format!("{take}.wav"));
    let sink = format!("wavenc ! filesink sync=true location={}/{{take}}.wav", directory.path().display());
    let mut daemon = sound_card(&sink, directory.path(), &[])?;
    let pattern = Pattern::seconds(SECONDS);
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", pattern.to_wav());
    let device = Device::vhost_user("vhost-user-snd-pci", daemon.socket());
    let boot_and_play = || -> Result<Guest, Box<dyn Error>> {
        let mut guest = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?;
        guest.wait_for_lines("playing", 1, BOOT_AND_PLAY)?;
        Ok(guest)
    };

    // Dropping the guest kills QEMU.
    drop(boot_and_play()?);
    let guest = boot_and_play()?;
    guest.reset(BOOT_AND_PLAY)?;
    guest.finish(BOOT_AND_PLAY).inspect_err(|error| eprintln!("{error}\n{}", daemon.log().join("\n")))?;

    assert_takes(&mut daemon, recording, &[("killed", false), ("reset", false), TO_THE_END])
}

#[test]
fn three_guests_play_one_after_another_and_one_reboots() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let recording = |take: usize| directory.path().join(format!("{take}.wav"));
    let sink = format!("wavenc ! filesink sync=true location={}/{{take}}.wav", directory.path().display());
    let mut daemon = sound_card(&sink, directory.path(), &["--latency", "500"])?;
    let disk = directory.path().join("disk");
    fs::write(&disk, [0; 512])?;
    let device = Device::vhost_user("vhost-user-snd-pci", daemon.socket()).with_disk(&disk).rebooting();

    for script in [PLAY, REBOOT, PLAY] {
        let overlay = Overlay::script(script).file("pattern.wav", Pattern::seconds(SECONDS).to_wav());
        let guest = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?;
        guest.finish(BOOT_AND_PLAY).inspect_err(|error| eprintln!("{error}\n{}", daemon.log().join("\n")))?;
    }
    let ends = [TO_THE_END, ("rebooted", false), TO_THE_END, TO_THE_END];
    assert_takes(&mut daemon, recording, &ends)
}

/// The end of a take that the guest has played completely.
const TO_THE_END: (&str, bool) = ("played to the end", true);

/// Asserts that the recording of each take is the beginning of the pattern, or all of it. `ends`
/// has the end of each take, and whether the take is complete.
fn assert_takes(
    daemon: &mut Daemon,
    recording: impl Fn(usize) -> PathBuf,
    ends: &[(&str, bool)],
) -> Result<(), Box<dyn Error>> {
    let pattern = Pattern::seconds(SECONDS);
    for (take, (end, complete)) in ends.iter().enumerate() {
        daemon.wait_until_closed(&recording(take))?;
        let frames = hound::WavReader::open(recording(take))?.duration().min(pattern.frames());
        assert!(frames > Pattern::RATE / 2, "{end}: {frames} frames");
        let report = Pattern::new(frames)?.check_wav(&recording(take))?;
        println!("{end}: {report}");
        assert!(report.is_exact(), "{end}: {report}");
        assert!(!complete || report.expected == pattern.frames(), "{end}: {report}");
    }
    Ok(())
}

#[test]
fn a_machine_that_is_paused_while_it_plays_loses_nothing() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let recording = directory.path().join("recording");
    let daemon = sound_card(&file_sink(&recording), directory.path(), &[])?;
    pauses_bit_exact(&recording, daemon, None)
}

/// isolation-host makes new rings after the pause. snd-host must not mistake these rings for the
/// rings of a new driver.
#[test]
fn a_machine_with_an_isolated_card_loses_nothing_in_a_pause() -> Result<(), Box<dyn Error>> {
    for ring in ["split", "packed"] {
        let directory = tempfile::tempdir()?;
        let recording = directory.path().join("recording");
        let daemon = sound_card(&file_sink(&recording), directory.path(), &["--ring", ring])?;
        let program = program("isolation-host", Profile::Debug)?;
        let forwarder = start_forwarder(&program, directory.path(), daemon.socket(), &["--device", "snd"])?;
        pauses_bit_exact(&recording, daemon, Some(forwarder))?;
    }
    Ok(())
}

fn file_sink(recording: &Path) -> String {
    format!("filesink sync=true location={}", recording.display())
}

/// Pauses a guest while it plays to `recording`, and compares all that it has played.
fn pauses_bit_exact(
    recording: &Path,
    mut daemon: Daemon,
    mut forwarder: Option<Daemon>,
) -> Result<(), Box<dyn Error>> {
    let pattern = Pattern::seconds(SECONDS);
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", pattern.to_wav());
    let socket = forwarder.as_ref().map_or(daemon.socket(), Daemon::socket);
    let device = Device::vhost_user("vhost-user-snd-pci", socket);
    let mut guest = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?;
    guest.wait_for_lines("playing", 1, BOOT_AND_PLAY)?;
    guest.pause_and_resume(BOOT_AND_PLAY)?;
    guest.finish(BOOT_AND_PLAY).inspect_err(|error| {
        let forwarder = forwarder.as_mut().map_or(&[][..], Daemon::log);
        eprintln!("{error}\n{}", [daemon.log(), forwarder].concat().join("\n"));
    })?;
    daemon.wait_until_closed(recording)?;
    // A guest that had started the playback again would have recorded less.
    let (recorded, played) = (fs::read(recording)?, pattern.to_raw());
    assert!(recorded == played, "{} bytes of {}\n{}", recorded.len(), played.len(), daemon.log().join("\n"));
    Ok(())
}
