//! Tests the harness with QEMU's own sound card. These tests show faults of the harness itself.

use std::error::Error;
use std::time::Duration;

use end_to_end::artifacts::GuestImage;
use end_to_end::guest::{Device, Guest, GuestError, Overlay};
use end_to_end::pattern::Pattern;

const BOOT_AND_PLAY: Duration = Duration::from_secs(120);

/// Silence follows the pattern, because QEMU's mixer drops its last milliseconds at the end.
const PLAY: &str = "(cat /pattern; head -c 192000 /dev/zero) |
    aplay -D hw:0,0 -t raw -f S16_LE -r 48000 -c 2";

#[test]
fn a_guest_plays_the_pattern_bit_exact_to_qemus_own_sound_card() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let recording = directory.path().join("recording.wav");
    let pattern = Pattern::seconds(2);
    let overlay = Overlay::script(PLAY).file("pattern", pattern.to_raw());

    let guest = Guest::boot(&GuestImage::prepared()?, &Device::emulated_sound(&recording), &overlay)?;
    let run = guest.finish(BOOT_AND_PLAY)?;

    let report = pattern.check_wav(&recording)?;
    assert!(report.is_exact(), "{report}\n{}", run.output.join("\n"));
    Ok(())
}

#[test]
fn a_failed_script_in_the_guest_fails_the_run() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let guest = Guest::boot(
        &GuestImage::prepared()?,
        &Device::emulated_sound(&directory.path().join("unused.wav")),
        &Overlay::script("exit 7"),
    )?;
    let failed = guest.finish(BOOT_AND_PLAY);
    assert!(matches!(failed, Err(GuestError::Script { code: 7, .. })), "{failed:?}");
    Ok(())
}
