//! QEMU's own devices, and what they have to show for it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use end_to_end::pattern::Pattern;
use hound::WavReader;
use tempfile::TempDir;

use super::report::{COMBINATIONS, Outcome};
use super::{machine, recording};

/// The kinds of devices, as the firmware names them.
pub(super) const DEVICES: [&str; 4] = ["sound", "block", "console", "entropy"];

/// What the firmware writes to and reads from its disk.
const DISK_BYTES: u64 = 8 << 20;
/// What it echoes: so much with each combination.
const ECHO_BYTES: usize = COMBINATIONS * (3 << 16);

/// Runs the firmware with all devices, and looks at what it left on them.
pub(super) fn check(firmware: &Path) -> Result<Vec<Outcome>> {
    let directory = tempfile::tempdir()?;
    let file = |name| directory.path().join(name);
    fs::File::create(file("disk"))?.set_len(DISK_BYTES)?;
    fs::write(file("input"), echo())?;

    let outcomes = machine::boot("the firmware drives QEMU's devices", firmware, &arguments(&directory))?;

    let echoed = fs::read(file("output")).context("the console wrote nothing")?;
    if echoed != echo() {
        bail!("the console echoed {} bytes, not the {ECHO_BYTES} that it was sent", echoed.len());
    }
    let samples = WavReader::open(file("recording.wav"))?.into_samples().collect::<Result<Vec<i16>, _>>()?;
    recording::judge(&samples, COMBINATIONS).context("QEMU's sound card")?;
    Ok(outcomes)
}

/// QEMU's arguments for the devices, in the order in which the firmware drives them.
fn arguments(directory: &TempDir) -> Vec<String> {
    let path = |name| directory.path().join(name).display().to_string();
    let (recording, disk) = (path("recording.wav"), path("disk"));
    let (input, output) = (path("input"), path("output"));
    let arguments = [
        "-audiodev",
        &format!("wav,id=sound,out.frequency=48000,out.format=s16,out.channels=2,path={recording}"),
        "-device",
        "virtio-sound-device,audiodev=sound,packed=on",
        "-drive",
        &format!("if=none,id=disk,format=raw,file={disk}"),
        "-device",
        "virtio-blk-device,drive=disk,packed=on,queue-size=1024",
        // A file takes everything. What a socket does not take at once, a console drops.
        "-chardev",
        &format!("file,id=console,path={output},input-path={input}"),
        "-device",
        "virtio-serial-device,packed=on",
        "-device",
        "virtconsole,chardev=console",
        "-object",
        "rng-builtin,id=random",
        "-device",
        "virtio-rng-device,rng=random,packed=on",
    ];
    arguments.map(str::to_owned).into()
}

/// What the console sends: the counting pattern's bytes, of which no long piece occurs twice.
fn echo() -> Vec<u8> {
    let mut bytes = Pattern::seconds(u8::MAX).to_raw();
    bytes.truncate(ECHO_BYTES);
    bytes
}
