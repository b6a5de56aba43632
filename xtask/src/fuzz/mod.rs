//! `cargo xtask fuzz`: each end of each format against a peer that writes arbitrary data.

mod planted;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use end_to_end::artifacts::target_dir;
use xshell::{Cmd, Shell, cmd};

use crate::command::captured;

/// The package of the targets. A workspace of its own keeps the fuzzer's dependencies out of other
/// builds.
pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

/// The targets in `fuzz/targets`.
const TARGETS: [&str; 4] = ["split_driver", "split_device", "packed_driver", "packed_device"];
/// How long each target runs in a smoke test.
const SMOKE_SECONDS: u32 = 60;
/// The toolchain. cargo-fuzz needs the sanitizers of nightly.
const NIGHTLY: &str = "+nightly";

/// Fuzz the rings.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// Run this target until it crashes or is interrupted.
    #[arg(required_unless_present = "smoke", value_parser = PossibleValuesParser::new(TARGETS))]
    target: Option<String>,
    /// Run each target for a minute. Then run split_device on a copy of ring-core with a planted
    /// bug, which has to be found within a minute.
    #[arg(long, conflicts_with = "target")]
    smoke: bool,
}

impl Fuzz {
    pub(crate) fn run(&self, sh: &Shell) -> Result<()> {
        ensure_installed(sh)?;
        match &self.target {
            Some(target) => Ok(fuzz(sh, Path::new("fuzz"), target)?.run()?),
            None => smoke(sh),
        }
    }
}

fn ensure_installed(sh: &Shell) -> Result<()> {
    cmd!(sh, "rustc {NIGHTLY} --version").read().context(
        "fuzzing needs a nightly toolchain; run `rustup toolchain install nightly --profile minimal`",
    )?;
    if cmd!(sh, "cargo fuzz --version").ignore_stderr().read().is_err() {
        cmd!(sh, "cargo install cargo-fuzz --locked").run()?;
    }
    Ok(())
}

fn smoke(sh: &Shell) -> Result<()> {
    let mut crashed = Vec::new();
    for target in TARGETS {
        let (success, output) = bounded(fuzz(sh, Path::new("fuzz"), target)?, target)?;
        println!("{target}: {}", summary(&output));
        if !success {
            eprintln!("{output}");
            crashed.push(target);
        }
    }
    if !crashed.is_empty() {
        bail!("{} crashed; the inputs are in fuzz/artifacts", crashed.join(", "));
    }
    find_planted_bug(sh)?;
    println!("0 crashes in {} targets, {SMOKE_SECONDS} s each", TARGETS.len());
    Ok(())
}

/// Shows that the fuzzer finds a bug that was planted in a copy.
fn find_planted_bug(sh: &Shell) -> Result<()> {
    let copy = target_dir()?.join("planted");
    planted::copy(sh, &copy)?;
    let command = fuzz(sh, &copy.join("fuzz"), planted::TARGET)?;
    let (success, output) = bounded(command.env("RUSTFLAGS", "--cfg planted"), planted::TARGET)?;
    if success {
        bail!("the fuzzer did not find the bug that was planted in {}", copy.display());
    }
    let Some(found) = output.lines().find(|line| line.contains(planted::SYMPTOM)) else {
        eprintln!("{output}");
        bail!("the fuzzer found another bug than the one that was planted in {}", copy.display());
    };
    println!("the planted bug was found: {}", found.trim());
    Ok(())
}

/// Runs a target for the time of a smoke test. Returns whether the target found no bug, and the
/// output.
fn bounded(command: Cmd<'_>, target: &str) -> Result<(bool, String)> {
    let command = command.arg(format!("-max_total_time={SMOKE_SECONDS}"));
    captured(&format!("building {target} and fuzzing it for {SMOKE_SECONDS} s"), command)
}

fn fuzz<'s>(sh: &'s Shell, directory: &Path, target: &str) -> Result<Cmd<'s>> {
    // Other builds cannot use objects with sanitizers.
    let files = target_dir()?.join("fuzz");
    let run = cmd!(sh, "cargo {NIGHTLY} fuzz run --fuzz-dir {directory} --target-dir {files} {target}");
    Ok(run.args(["--", "-max_len=4096"]))
}

/// Returns a command that runs clippy on the targets.
pub(crate) fn clippy(sh: &Shell) -> Result<Cmd<'_>> {
    // Another workspace's files go beside this workspace's, apart from objects with sanitizers.
    let files = target_dir()?.join("fuzz-lint");
    Ok(cmd!(sh, "cargo clippy --manifest-path {MANIFEST} --target-dir {files}"))
}

/// libFuzzer's last line when nothing was found: "Done 123 runs in 61 second(s)".
fn summary(output: &str) -> &str {
    output.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or("stopped")
}
