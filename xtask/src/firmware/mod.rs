//! `cargo xtask firmware`: ring-core on bare metal, against devices that nobody here wrote.

mod build;
mod machine;
mod report;

use anyhow::{Result, bail};

pub(crate) use self::build::on_firmware;
use self::machine::Machine;
use self::report::{COMBINATIONS, Outcome};
use crate::command::progress;
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
    let outcomes = boot(&Machine::new(&firmware)?)?;
    report::show(&outcomes);
    build::show_sizes(&firmware)?;
    let missing = machine::DEVICES.iter().filter(|device| passed(&outcomes, device) != COMBINATIONS);
    let missing: Vec<&str> = missing.copied().collect();
    if !missing.is_empty() {
        bail!("not every combination was passed by: {}", missing.join(", "));
    }
    Ok(outcomes.len() as u64)
}

/// Runs the firmware with all of QEMU's devices, and looks at what it left on them.
fn boot(machine: &Machine<'_>) -> Result<Vec<Outcome>> {
    let progress = progress("the firmware drives QEMU's devices");
    let ran = machine.run();
    progress.finish_and_clear();
    let outcomes: Vec<Outcome> = ran?.iter().filter_map(|line| Outcome::parse(line)).collect();
    machine.judge_echo()?;
    machine.judge_recording()?;
    Ok(outcomes)
}

/// How many combinations a device passed.
fn passed(outcomes: &[Outcome], device: &str) -> usize {
    outcomes.iter().filter(|outcome| outcome.device == device).count()
}
