//! `cargo xtask lint`: every check that runs no test.

mod tidy;

use anyhow::Result;
use xshell::{Shell, cmd};

pub(crate) use self::tidy::Tidy;
use crate::stages::Stages;
use crate::{api, firmware, fuzz, no_std, package};

/// The workspaces beside the main one. Each needs a toolchain or a target of its own.
const OWN_WORKSPACES: [&str; 3] = [no_std::MANIFEST, firmware::MANIFEST, fuzz::MANIFEST];

/// The packages that are published, in this order.
const PUBLISHED: [&str; 4] = ["ring-core", "vhost-ring", "isolation-host", "snd-host"];

/// Runs all lints, the fast ones first, and prints the time of each.
pub(crate) fn run(sh: &Shell) -> Result<()> {
    let mut stages = Stages::default();
    stages.run("format", || format(sh))?;
    stages.run("style", || tidy(sh))?;
    stages.run("public API", || public_api(sh))?;
    stages.run("packages", || packages(sh))?;
    stages.run("clippy", || clippy(sh))?;
    stages.run("documentation", || documentation(sh))?;
    // Not a stage of `cargo xtask test`, because the tool is built once, which takes minutes.
    stages.run("licences and advisories", || package::check_dependencies(sh))?;
    print!("{stages}");
    Ok(())
}

/// Checks the format of all code.
pub(crate) fn format(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo fmt --all --check").run()?;
    for workspace in OWN_WORKSPACES {
        cmd!(sh, "cargo fmt --manifest-path {workspace} --check").run()?;
    }
    Ok(())
}

/// Checks the style that CONTRIBUTING.md asks for.
pub(crate) fn tidy(sh: &Shell) -> Result<()> {
    Tidy::default().run(sh)
}

/// Checks that the public API of the published libraries is as listed.
pub(crate) fn public_api(sh: &Shell) -> Result<()> {
    api::Api::default().run(sh)
}

/// Packs the crates that are published. Does not build them, which takes minutes.
pub(crate) fn packages(sh: &Shell) -> Result<()> {
    let packages = PUBLISHED.iter().flat_map(|name| ["--package", name]);
    Ok(cmd!(sh, "cargo package --quiet --no-verify --allow-dirty {packages...}").run()?)
}

/// Runs clippy on all code. A warning is a failure.
pub(crate) fn clippy(sh: &Shell) -> Result<()> {
    let workspace = cmd!(sh, "cargo clippy --workspace --all-targets --all-features");
    let others = [no_std::on_proof(sh, "clippy")?, firmware::on_firmware(sh, "clippy")?, fuzz::clippy(sh)?];
    for command in [workspace].into_iter().chain(others) {
        command.args(["--", "-D", "warnings"]).run()?;
    }
    Ok(())
}

/// Builds the documentation. A link without a target is a failure.
pub(crate) fn documentation(sh: &Shell) -> Result<()> {
    Ok(cmd!(sh, "env RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --all-features --no-deps").run()?)
}
