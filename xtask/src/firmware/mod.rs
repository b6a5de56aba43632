//! `cargo xtask firmware`: ring-core on bare metal, against devices that nobody here wrote.

mod build;
mod machine;
mod own_devices;
mod recording;
mod report;
mod snd_host;

use anyhow::{Result, bail};

pub(crate) use self::build::on_firmware;
use self::report::COMBINATIONS;
use crate::setup;

/// The firmware. It is its own workspace: it links as a program does that has no operating system.
pub(crate) const MANIFEST: &str = "ring-core/examples/firmware/Cargo.toml";

/// Sets up, and runs every check.
pub(crate) fn run() -> Result<()> {
    setup::run()?;
    check().map(drop)
}

/// Builds and boots the firmware, and shows what its checks did. Returns how many there were.
pub(crate) fn check() -> Result<u64> {
    let firmware = build::build()?;
    let mut outcomes = own_devices::check(&firmware)?;
    outcomes.extend(snd_host::check(&firmware)?);
    report::show(&outcomes);
    build::show_sizes(&firmware)?;
    for device in own_devices::DEVICES.iter().chain([&snd_host::DEVICE]) {
        let passed = outcomes.iter().filter(|outcome| outcome.device == *device).count();
        if passed != COMBINATIONS {
            bail!("{device} passed {passed} of {COMBINATIONS} combinations");
        }
    }
    Ok(outcomes.len() as u64)
}
