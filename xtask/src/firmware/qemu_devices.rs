//! QEMU's devices, and the data that the firmware leaves on them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use end_to_end::pattern::Pattern;
use hound::WavReader;
use tempfile::TempDir;

use super::report::{COMBINATIONS, Outcome};
use super::{machine, recording};

/// The firmware's names of the devices.
pub(super) const DEVICES: [&str; 4] = ["sound", "block", "console", "entropy"];

/// The size of the disk that the firmware writes and reads.
const DISK_BYTES: u64 = 8 << 20;
/// The number of bytes that the firmware echoes with all combinations.
const ECHO_BYTES: usize = COMBINATIONS * (3 << 16);

/// Runs the firmware with all devices, and checks the data on the devices.
pub(super) fn check(firmware: &Path) -> Result<Vec<Outcome>> {
    let directory = tempfile::tempdir()?;
    let file = |name| directory.path().join(name);
    fs::File::create(file("disk"))?.set_len(DISK_BYTES)?;
    fs::write(file("input"), echo())?;

    let outcomes = machine::boot("the firmware drives QEMU's devices", firmware, &arguments(&directory))?;

    let echoed = fs::read(file("output")).context("the console wrote nothing")?;
    if echoed != echo() {
        bail!("the console echoed {} bytes that differ from the {ECHO_BYTES} sent", echoed.len());
    }
    let samples = WavReader::open(file("recording.wav"))?.into_samples().collect::<Result<Vec<i16>, _>>()?;
    recording::judge(&samples, COMBINATIONS).context("QEMU's sound card")?;
    Ok(outcomes)
}

/// QEMU's arguments for the devices, in the order in which the firmware drives the devices.
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
        // A console drops the bytes that its back-end does not accept immediately. A file accepts
        // all bytes.
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

/// Returns what the console sends: the counting pattern, in which no long sequence occurs twice.
fn echo() -> Vec<u8> {
    let mut bytes = Pattern::seconds(u8::MAX).to_raw();
    bytes.truncate(ECHO_BYTES);
    bytes
}
