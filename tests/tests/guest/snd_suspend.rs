//! A real guest is suspended while it plays, and plays on when it wakes up.

use std::error::Error;
use std::fs;
use std::time::Duration;

use end_to_end::artifacts::{GuestImage, Profile, program};
use end_to_end::daemon::Daemon;
use end_to_end::guest::{Device, Guest, GuestError, Overlay};
use end_to_end::pattern::Pattern;
use end_to_end::process::ProcessError;
use end_to_end::runs::{Run, runs};

const SECONDS: u8 = 8;

/// The longest wait for a line of the guest, or for an answer of QEMU.
const WITHIN: Duration = Duration::from_secs(120);
/// The time between two key presses. A key that is pressed too early wakes no guest.
const BETWEEN_KEYS: Duration = Duration::from_millis(500);

/// ALSA's buffer in frames: `aplay` asks for half a second. Linux gives it up when it suspends.
const BUFFER: u32 = 24_000;

/// Plays, and suspends the guest twice meanwhile: to memory (S3), and to an idle state (s2idle),
/// from which the keyboard wakes the guest. An attempt to suspend fails if a key is pressed too
/// early.
const SCRIPT: &str = "
    echo enabled >/sys/devices/platform/i8042/serio0/power/wakeup
    runs() { grep -q RUNNING /proc/asound/card0/pcm0p/sub0/status; }
    suspend() {
        until runs; do sleep 0.1; done
        sleep 1
        echo $2 >/sys/power/mem_sleep
        before=$(cat /sys/power/suspend_stats/success)
        echo \"suspending: $1\"
        until [ $(cat /sys/power/suspend_stats/success) -gt $before ]; do echo mem >/sys/power/state; done
        echo \"woken: $1\"
    }
    (suspend S3 deep; suspend s2idle s2idle) &
    aplay -q -D hw:0,0 /pattern.wav && wait";

/// Waits until the guest suspends to an idle state, and presses a key until it has woken up.
fn wake_from_idle(guest: &mut Guest) -> Result<(), GuestError> {
    guest.wait_for_lines("suspending: s2idle", 1, WITHIN)?;
    loop {
        match guest.wait_for_lines("woken: s2idle", 1, BETWEEN_KEYS) {
            Err(GuestError::Qemu(ProcessError::Overdue { .. })) => guest.press_key(WITHIN)?,
            woken => return woken,
        }
    }
}

/// Wakes the guest up each time it is suspended.
fn wake_twice(guest: &mut Guest) -> Result<(), GuestError> {
    guest.wait_for_lines("suspending: S3", 1, WITHIN)?;
    guest.wake_from_memory(WITHIN)?;
    guest.wait_for_lines("woken: S3", 1, WITHIN)?;
    wake_from_idle(guest)
}

/// Returns the number of missing frames at each interruption; `None` if a frame was played twice.
///
/// A guest that wakes up soon plays on while the first sink still plays the audio from before. Both
/// sinks append to the file, so the later frames may precede the earlier ones in the file. Each
/// such place is an interruption as well.
fn gaps(played: &[Run]) -> Option<Vec<u32>> {
    let mut sorted = played.to_vec();
    sorted.sort_by_key(|run| run.first);
    let pairs = sorted.windows(2).map(|pair| (pair[0], pair[1]));
    let interrupted =
        pairs.filter(|(before, next)| before.end != next.first || before.position > next.position);
    interrupted.map(|(before, next)| next.first.checked_sub(before.end)).collect()
}

#[test]
fn a_machine_that_is_suspended_while_it_plays_plays_on() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let played = directory.path().join("played");
    let sink = format!("filesink location={} append=true sync=true", played.display());
    let options = ["--latency".as_ref(), "500".as_ref(), "--sink".as_ref(), sink.as_ref()];
    let options = options.into_iter().chain(["--writable".as_ref(), directory.path().as_os_str()]);
    let socket = directory.path().join("snd.sock");
    let mut daemon = Daemon::start(&program("snd-host", Profile::Debug)?, &socket, options)?;
    let pattern = Pattern::seconds(SECONDS);
    let overlay = Overlay::script(SCRIPT).file("pattern.wav", pattern.to_wav());
    let device = Device::vhost_user("vhost-user-snd-pci", &socket);
    let mut guest = Guest::boot(&GuestImage::prepared()?, &device, &overlay)?;
    // After the guest was suspended to memory, QEMU does not end when the guest powers off.
    let woken = wake_twice(&mut guest).and_then(|()| guest.wait_for_lines("guest: exit 0", 1, WITHIN));
    woken.inspect_err(|error| eprintln!("{error}\n{}", daemon.log().join("\n")))?;
    daemon.wait_until_closed(&played)?;

    let played = runs(&Pattern::found(&fs::read(&played)?))?;
    let gaps = gaps(&played).ok_or_else(|| format!("a frame was played twice: {played:?}"))?;
    let ends = (played.iter().map(|run| run.first).min(), played.iter().map(|run| run.end).max());
    assert_eq!(ends, (Some(0), Some(pattern.frames())));
    println!("woken from S3 and s2idle; frames that Linux gave up: {gaps:?}");
    // One interruption each time that the guest was suspended.
    assert!(gaps.len() <= 2 && gaps.iter().all(|gap| *gap <= BUFFER), "{played:?}");
    Ok(())
}
