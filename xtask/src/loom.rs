//! `cargo xtask loom`: the models of the rings' memory ordering.

use anyhow::Result;

use crate::command;

/// What runs the models. They explore very many interleavings, hence the optimised build.
pub(crate) const TEST: [&str; 9] = [
    "test",
    "--package",
    "ring-core",
    "--release",
    "--test",
    "loom",
    "--",
    "--nocapture",
    "--test-threads=1",
];

/// Runs the models.
pub(crate) fn run() -> Result<()> {
    command::run(&mut command::cargo(TEST))
}
