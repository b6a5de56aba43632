//! The programs of a package.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use end_to_end::artifacts::target_dir;
use xshell::{Shell, cmd};

use super::definition::Definition;

/// The profile of packaged programs.
const PROFILE: &str = "dist";
/// The section of a program in which `cargo auditable` lists the dependencies.
const DEPENDENCIES: &str = ".dep-v0";
/// The sections that a stripped program does not have.
const STRIPPED: [&str; 2] = [".debug_", ".symtab"];

/// Builds all programs of a crate.
pub(super) fn build(sh: &Shell, Definition { name, programs, .. }: &Definition) -> Result<Vec<PathBuf>> {
    let build = cmd!(sh, "cargo auditable build --locked --profile {PROFILE} --package {name} --bins");
    // cargo's output shows the progress.
    build.env("RUSTFLAGS", same_paths()?).run()?;
    let directory = target_dir()?.join(PROFILE);
    let programs: Vec<PathBuf> = programs.iter().map(|program| directory.join(program)).collect();
    programs.iter().try_for_each(|program| check(sh, program))?;
    Ok(programs)
}

/// Returns flags that keep the directories of this machine out of the programs.
fn same_paths() -> Result<String> {
    let home = env::home_dir().unwrap_or_default().join(".cargo");
    let cargo = env::var_os("CARGO_HOME").map_or(home, PathBuf::from);
    let map = |from: &Path, to| format!("--remap-path-prefix={}={to}", from.display());
    Ok([map(&cargo, "/cargo"), map(&env::current_dir()?, "/workspace")].join(" "))
}

/// Fails if a program has debugging information, or no list of its dependencies.
fn check(sh: &Shell, program: &Path) -> Result<()> {
    let sections = cmd!(sh, "readelf --section-headers --wide {program}").quiet().read()?;
    if STRIPPED.iter().any(|section| sections.contains(section)) {
        bail!("{} is not stripped; is `strip` set in profile.{PROFILE}?", program.display());
    }
    if !sections.contains(DEPENDENCIES) {
        bail!("{} has no list of its dependencies; cargo-auditable has not added it", program.display());
    }
    Ok(())
}
