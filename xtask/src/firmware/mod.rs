//! `cargo xtask firmware`: ring-core on bare metal, against QEMU's devices and snd-host.

mod build;
mod machine;
mod qemu_devices;
mod recording;
mod report;
mod snd_host;

use anyhow::{Result, bail};
use xshell::Shell;

pub(crate) use self::build::on_firmware;
use self::report::COMBINATIONS;
use crate::setup;

/// The firmware's manifest. The firmware has a workspace of its own, because it links without an
/// operating system.
pub(crate) const MANIFEST: &str = "ring-core/examples/firmware/Cargo.toml";

/// Sets up and runs every check.
pub(crate) fn run(sh: &Shell) -> Result<()> {
    setup::for_firmware(sh)?;
    check(sh).map(drop)
}

/// Builds and boots the firmware, and prints the results. Returns the number of checks.
pub(crate) fn check(sh: &Shell) -> Result<u64> {
    let firmware = build::build(sh)?;
    let mut outcomes = qemu_devices::check(&firmware)?;
    outcomes.extend(snd_host::check(sh, &firmware)?);
    report::show(&outcomes);
    build::show_sizes(sh, &firmware)?;
    for device in qemu_devices::DEVICES.iter().chain([&snd_host::DEVICE]) {
        let passed = outcomes.iter().filter(|outcome| outcome.device == *device).count();
        if passed != COMBINATIONS {
            bail!("{device} passed {passed} of {COMBINATIONS} combinations");
        }
    }
    Ok(outcomes.len() as u64)
}
