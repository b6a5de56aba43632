//! Programs that are built from crates, each in a directory of its own below target.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use xshell::{Shell, cmd};

use crate::cached;

/// Builds the program `DIRECTORY/bin/NAME` from this version of the crate NAME, unless that was
/// done before.
pub(super) fn prepare(sh: &Shell, program: &Path, version: &str) -> Result<()> {
    let directory = program.ancestors().nth(2).context("the path of a program has too few directories")?;
    let name = program.file_name().context("the path of a program has no name")?;
    cached::directory(directory, version, |new| {
        // A target directory of its own keeps the build apart from the project's.
        let objects = new.join("build");
        let install = cmd!(sh, "cargo install {name} --version {version} --locked --root {new}");
        let install = install.args(["--target-dir".as_ref(), objects.as_os_str()]);
        // cargo's output shows the progress.
        install.run().with_context(|| format!("cannot build {}; cargo's reason is above", name.display()))?;
        fs::remove_dir_all(objects)?;
        Ok(())
    })
}
