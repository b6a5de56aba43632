//! `cargo xtask fuzz`: each end of each format against a peer that writes anything.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use end_to_end::artifacts::target_dir;

use crate::command::{captured, cargo, command, output, print, progress, run as run_command};

/// The targets' package. It is its own workspace, lest the others depend on what a fuzzer needs.
pub(crate) const MANIFEST: &str = "fuzz/Cargo.toml";

/// The targets in `fuzz/targets`.
const TARGETS: [&str; 4] = ["split_driver", "split_device", "packed_driver", "packed_device"];
/// How long each runs in a smoke test.
const SMOKE_SECONDS: u32 = 60;
/// What cargo-fuzz needs of the nightly toolchain is its sanitizers.
const NIGHTLY: &str = "+nightly";

/// The bound that is removed in a copy, to see that the fuzzer would find it missing.
const PLANTED_IN: &str = "ring-core/src/split/device.rs";
const BOUND: &str = "if index >= size {";
const PLANTED: &str = "if !cfg!(planted) && index >= size {";

/// Fuzz the rings.
#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// A target, until it crashes or is interrupted: split_driver, split_device, packed_driver or
    /// packed_device.
    #[arg(required_unless_present = "smoke", value_parser = clap::builder::PossibleValuesParser::new(TARGETS))]
    target: Option<String>,
    /// All targets for a minute each; and a copy with a planted bug, which has to be found as fast.
    #[arg(long, conflicts_with = "target")]
    smoke: bool,
}

impl Fuzz {
    pub(crate) fn run(&self) -> Result<()> {
        ensure_installed()?;
        match &self.target {
            Some(target) => run_command(&mut fuzz(Path::new("fuzz"), target, None)?),
            None => smoke(),
        }
    }
}

/// Installs cargo-fuzz, unless it is there.
fn ensure_installed() -> Result<()> {
    output(&mut command(["rustc", NIGHTLY, "--version"])).context(
        "fuzzing needs a nightly toolchain for its sanitizers: rustup toolchain install nightly --profile minimal",
    )?;
    if output(&mut command(["cargo", "fuzz", "--version"])).is_err() {
        run_command(&mut command(["cargo", "install", "cargo-fuzz", "--locked"]))?;
    }
    Ok(())
}

fn smoke() -> Result<()> {
    let mut crashed = Vec::new();
    for target in TARGETS {
        let (quiet, said) = bounded(Path::new("fuzz"), target, false)?;
        println!("{target}: {}", summary(&said));
        if !quiet {
            eprintln!("{said}");
            crashed.push(target);
        }
    }
    if !crashed.is_empty() {
        bail!("the fuzzer has found a fault with {}; its input is in fuzz/artifacts", crashed.join(", "));
    }

    let copy = plant()?;
    let (quiet, said) = bounded(&copy.join("fuzz"), "split_device", true)?;
    if quiet {
        bail!("a bound was removed from a copy of {PLANTED_IN}, and the fuzzer did not find it");
    }
    let Some(found) = said.lines().find(|line| line.contains("in an area of")) else {
        eprintln!("{said}");
        bail!("the fuzzer stopped at a copy with a bound removed, but not because of that");
    };
    println!("a planted bug ({BOUND} removed) was found: {}", found.trim());
    println!("0 crashes in {} targets, {SMOKE_SECONDS} s each", TARGETS.len());
    Ok(())
}

/// Copies what is fuzzed, and makes one bound in the copy depend on a cfg that is set for it.
fn plant() -> Result<PathBuf> {
    let copy = target_dir()?.join("planted");
    match fs::remove_dir_all(&copy) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&copy)?,
    }
    let files = output(&mut command(["git", "ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let wanted =
        |path: &&str| path.starts_with("ring-core/") || path.starts_with("fuzz/") || !path.contains('/');
    for path in files.lines().filter(wanted) {
        let to = copy.join(path);
        fs::create_dir_all(to.parent().unwrap_or(&copy))?;
        fs::copy(path, to)?;
    }
    // The workspace without its other members.
    let manifest = copy.join("Cargo.toml");
    let members = fs::read_to_string(&manifest)?;
    let members: String = members
        .lines()
        .map(|line| {
            if line.starts_with("members") {
                "members = [\"ring-core\"]\n".to_owned()
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    fs::write(manifest, members)?;

    let file = copy.join(PLANTED_IN);
    let source = fs::read_to_string(&file)?;
    if source.matches(BOUND).count() != 1 {
        bail!("{PLANTED_IN} has no single `{BOUND}` any more; choose another bound to plant a bug at");
    }
    fs::write(file, source.replace(BOUND, PLANTED))?;
    Ok(copy)
}

/// Runs a target for as long as a smoke test has. Returns whether all was quiet, and what was said.
fn bounded(directory: &Path, target: &str, planted: bool) -> Result<(bool, String)> {
    let mut command = fuzz(directory, target, Some(SMOKE_SECONDS))?;
    if planted {
        command.env("RUSTFLAGS", "--cfg planted");
    }
    print(&command);
    let progress = progress(&format!("fuzzing {target} for {SMOKE_SECONDS} s, after building it"));
    let result = captured(&mut command);
    progress.finish_and_clear();
    result
}

/// Clippy, on the targets.
pub(crate) fn clippy() -> Result<Command> {
    // Not a member of the workspace, so it says where its files go; not where a sanitizer's are.
    let mut command = cargo(["clippy", "--manifest-path", MANIFEST, "--target-dir"]);
    command.arg(target_dir()?.join("fuzz-lint"));
    Ok(command)
}

fn fuzz(directory: &Path, target: &str, seconds: Option<u32>) -> Result<Command> {
    let mut command = command(["cargo", NIGHTLY, "fuzz", "run", "--fuzz-dir"]);
    command.arg(directory);
    // Its own files: a sanitizer's are of no use to any other build.
    command.arg("--target-dir").arg(target_dir()?.join("fuzz"));
    command.args([target, "--", "-max_len=4096"]);
    if let Some(seconds) = seconds {
        command.arg(format!("-max_total_time={seconds}"));
    }
    Ok(command)
}

/// The last thing that libFuzzer says when nothing was found: "Done 123 runs in 61 second(s)".
fn summary(said: &str) -> &str {
    said.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or("stopped")
}
