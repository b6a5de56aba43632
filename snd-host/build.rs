//! Finds out the commit and the features of the program, which `--version` prints.
//!
//! isolation-host's build script is a link to this file.

use std::env;
use std::fs;
use std::process::Command;

/// The variable that names the commit if the sources are not in a git repository, and in which the
/// program gets the commit.
const COMMIT: &str = "HOST_COMMIT";
/// The file in a published crate that names the commit.
const PUBLISHED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    println!("cargo::rustc-env={COMMIT}={}", commit());
    println!("cargo::rustc-env=HOST_FEATURES={}", features());
}

/// Returns the commit that the program is built from, or the reason why the commit is unknown.
fn commit() -> String {
    // If debug builds contained the commit, each commit would cause a rebuild of the tests.
    if env::var("PROFILE").as_deref() != Ok("release") {
        return "unknown, built for debugging".to_owned();
    }
    env::var(COMMIT).ok().or_else(published).or_else(checked_out).unwrap_or_else(|| "unknown".to_owned())
}

/// Returns the commit that `cargo package` has written into the sources.
fn published() -> Option<String> {
    let text = fs::read_to_string(PUBLISHED).ok()?;
    println!("cargo::rerun-if-changed={PUBLISHED}");
    let (_, rest) = text.split_once("\"sha1\": \"")?;
    let dirty = if text.contains("\"dirty\": true") { "-dirty" } else { "" };
    Some(format!("{}{dirty}", rest.get(..12)?))
}

/// Returns the commit of the git repository, with `-dirty` if files have changed since.
fn checked_out() -> Option<String> {
    for watched in ["src", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    // The log of HEAD grows with each commit and each checkout.
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"])
}

fn git(arguments: &[&str]) -> Option<String> {
    // A build does not write to the repository.
    let output = Command::new("git").arg("--no-optional-locks").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned())
}

/// Returns the names of the enabled features, without `default`.
fn features() -> String {
    let names =
        env::vars().filter_map(|(name, _)| name.strip_prefix("CARGO_FEATURE_").map(str::to_lowercase));
    let names: Vec<_> = names.filter(|name| name != "default").map(|name| name.replace('_', "-")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
