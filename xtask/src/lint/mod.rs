//! `cargo xtask lint`: what can be judged without running anything.

mod tidy;

use anyhow::Result;

use crate::command::{cargo, run as run_command};
use crate::{firmware, fuzz, no_std};
pub(crate) use tidy::{Tidy, unsafe_code};

/// The workspaces beside the main one. Each needs a toolchain or a target of its own.
const OWN_WORKSPACES: [&str; 3] = [no_std::MANIFEST, firmware::MANIFEST, fuzz::MANIFEST];

/// Runs all lints.
pub(crate) fn run() -> Result<()> {
    format()?;
    clippy()?;
    documentation()?;
    unsafe_code()
}

/// The code is formatted.
pub(crate) fn format() -> Result<()> {
    run_command(&mut cargo(["fmt", "--all", "--check"]))?;
    for workspace in OWN_WORKSPACES {
        run_command(&mut cargo(["fmt", "--manifest-path", workspace, "--check"]))?;
    }
    Ok(())
}

/// Clippy has nothing to say.
pub(crate) fn clippy() -> Result<()> {
    let deny = ["--", "-D", "warnings"];
    run_command(cargo(["clippy", "--workspace", "--all-targets", "--all-features"]).args(deny))?;
    run_command(no_std::on_proof("clippy")?.args(deny))?;
    run_command(firmware::on_firmware("clippy")?.args(deny))?;
    run_command(fuzz::clippy()?.args(deny))
}

/// The documentation builds, with no link that leads nowhere.
pub(crate) fn documentation() -> Result<()> {
    run_command(
        cargo(["doc", "--workspace", "--all-features", "--no-deps"]).env("RUSTDOCFLAGS", "-Dwarnings"),
    )
}
