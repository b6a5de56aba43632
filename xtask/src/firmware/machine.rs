//! The machine that the firmware boots on, with QEMU's own devices, and what they have to show for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use end_to_end::pattern::Pattern;
use end_to_end::process::Process;
use tempfile::TempDir;

use crate::command::{command, print};

const QEMU: &str = "qemu-system-x86_64";

/// The kinds of devices, as the firmware names them.
pub(super) const DEVICES: [&str; 4] = ["sound", "entropy", "console", "block"];

/// How long all checks may take. On an idle machine they take 20 s.
const WITHIN: Duration = Duration::from_secs(100);

/// The status with which QEMU exits when the firmware has passed all checks.
const PASSED: i32 = 0x10 << 1 | 1;

/// What the firmware reads from and writes to its disk.
const DISK_BYTES: u64 = 8 << 20;
/// What it echoes, with all combinations together.
const ECHO_BYTES: u32 = 8 * (3 << 16);
/// What it plays, with all combinations together.
const FRAMES: u32 = 8 * 24_000;

/// A machine that has not been started, and the directory for its devices' files.
pub(super) struct Machine<'f> {
    firmware: &'f Path,
    directory: TempDir,
}

impl<'f> Machine<'f> {
    /// Prepares what the devices need.
    pub(super) fn new(firmware: &'f Path) -> Result<Self> {
        let machine = Self { firmware, directory: tempfile::tempdir()? };
        fs::File::create(machine.path("disk"))?.set_len(DISK_BYTES)?;
        fs::write(machine.path("input"), echo())?;
        Ok(machine)
    }

    /// Boots, and returns all lines that the firmware prints, once it has passed all checks.
    pub(super) fn run(&self) -> Result<Vec<String>> {
        let arguments = self.arguments();
        print(command([QEMU]).args(&arguments));
        let deadline = Instant::now() + WITHIN;
        let mut qemu = Process::start(QEMU, &arguments)?;
        let lines = qemu.whole_log(deadline)?.to_vec();
        let status = qemu.wait(deadline)?;
        if status.code() != Some(PASSED) {
            bail!("the firmware failed ({status}); it wrote:\n{}", lines.join("\n"));
        }
        Ok(lines)
    }

    /// What was sent to the console has come back.
    pub(super) fn judge_echo(&self) -> Result<()> {
        let echoed = fs::read(self.path("output")).context("the console wrote nothing")?;
        if echoed != echo() {
            bail!("the console echoed {} bytes, not the {ECHO_BYTES} that it was sent", echoed.len());
        }
        println!("console: {ECHO_BYTES} bytes came back as they were sent");
        Ok(())
    }

    /// What was played is what was recorded.
    pub(super) fn judge_recording(&self) -> Result<()> {
        let recorded = Pattern::new(FRAMES)?.check_wav(&self.path("recording.wav"))?;
        if !recorded.is_exact() {
            bail!("the recording is not what was played: {recorded}");
        }
        println!("sound: {recorded}");
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// QEMU's arguments.
    fn arguments(&self) -> Vec<String> {
        let path = |name| self.path(name).display().to_string();
        let words = "-M microvm,acpi=off -accel tcg -cpu max -m 64M -nodefaults -no-user-config \
            -display none -serial stdio -no-reboot -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
            -global virtio-mmio.force-legacy=false";
        let mut arguments: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        add("-kernel", self.firmware.display().to_string());

        // The firmware takes the devices in this order. So there is time, while it drives the others,
        // for what QEMU's sound card has taken last to reach the recording.
        let recording = path("recording.wav");
        add(
            "-audiodev",
            format!("wav,id=sound,out.frequency=48000,out.format=s16,out.channels=2,path={recording}"),
        );
        add("-device", "virtio-sound-device,audiodev=sound,packed=on".to_owned());
        add("-drive", format!("if=none,id=disk,format=raw,file={}", path("disk")));
        add("-device", "virtio-blk-device,drive=disk,packed=on,queue-size=1024".to_owned());
        // A file takes everything. What a socket does not take at once, a console drops.
        let (input, output) = (path("input"), path("output"));
        add("-chardev", format!("file,id=console,path={output},input-path={input}"));
        add("-device", "virtio-serial-device,packed=on".to_owned());
        add("-device", "virtconsole,chardev=console".to_owned());
        add("-object", "rng-builtin,id=random".to_owned());
        add("-device", "virtio-rng-device,rng=random,packed=on".to_owned());
        arguments
    }
}

/// What the console sends: the counting pattern's bytes, in which no long piece occurs twice.
fn echo() -> Vec<u8> {
    let frames = Pattern::seconds(u8::MAX).to_raw();
    frames.into_iter().take(ECHO_BYTES as usize).collect()
}
