//! `cargo xtask loom`: the models of the rings' memory ordering.

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

/// Runs the models.
pub(crate) fn run(sh: &Shell) -> Result<()> {
    Ok(test(sh).run()?)
}

/// Returns the command that runs the models. The build is optimised, because loom explores many
/// interleavings.
pub(crate) fn test(sh: &Shell) -> Cmd<'_> {
    cmd!(sh, "cargo test --package ring-core --release --test loom -- --nocapture --test-threads=1")
}
