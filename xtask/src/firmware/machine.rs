//! The machine that the firmware boots on.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use end_to_end::process::Process;

use super::report::Outcome;
use crate::command::progress;

const QEMU: &str = "qemu-system-x86_64";

/// The time limit of all checks. On an idle machine the checks take 25 s.
const WITHIN: Duration = Duration::from_secs(100);

/// The status with which QEMU exits when the firmware has passed all checks.
const PASSED: i32 = (0x10 << 1) | 1;

/// A machine without VIRTIO devices. The machine is emulated, because KVM is not available
/// everywhere. The transport is configured to offer modern devices.
const MACHINE: &str = "-M microvm,acpi=off,memory-backend=memory -accel tcg -cpu max -m 64M \
    -object memory-backend-memfd,id=memory,size=64M,share=on \
    -nodefaults -no-user-config -display none -serial stdio -no-reboot \
    -device isa-debug-exit,iobase=0xf4,iosize=0x04 -global virtio-mmio.force-legacy=false";

/// Boots the firmware with additional arguments of QEMU. Returns the results once the firmware has
/// passed all checks.
pub(super) fn boot(doing: &str, firmware: &Path, devices: &[String]) -> Result<Vec<Outcome>> {
    let kernel = ["-kernel".to_owned(), firmware.display().to_string()];
    let arguments = MACHINE.split_whitespace().chain(kernel.iter().chain(devices).map(String::as_str));
    let arguments: Vec<&str> = arguments.collect();
    eprintln!("$ {QEMU} {}", arguments.join(" "));
    let progress = progress(doing);
    let ran = run(&arguments);
    progress.finish_and_clear();
    ran
}

fn run(arguments: &[&str]) -> Result<Vec<Outcome>> {
    let deadline = Instant::now() + WITHIN;
    let mut qemu = Process::start(QEMU, arguments)?;
    let lines = qemu.whole_log(deadline)?.to_vec();
    let status = qemu.wait(deadline)?;
    if status.code() != Some(PASSED) {
        bail!("the firmware failed ({status}); its output:\n{}", lines.join("\n"));
    }
    Ok(lines.iter().filter_map(|line| Outcome::parse(line)).collect())
}
