//! The programs that make and check packages: installed below the target directory, not for the
//! user.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use end_to_end::artifacts::target_dir;
use xshell::{Shell, cmd};

use crate::command::quietly;

/// A tool and its version.
type Tool = (&'static str, &'static str);

/// Checks the dependencies.
pub(super) const CARGO_DENY: Tool = ("cargo-deny", "0.20.2");
/// All tools. `cargo auditable` writes the list of dependencies into a program.
pub(super) const TOOLS: [Tool; 4] =
    [("cargo-auditable", "0.7.7"), ("cargo-deb", "3.8.0"), CARGO_DENY, ("cargo-generate-rpm", "0.21.1")];

/// Installs tools, unless that was done before.
pub(super) fn install(sh: &Shell, tools: &[Tool]) -> Result<()> {
    let root = root()?;
    let objects = root.join("build");
    for (name, version) in tools {
        // Unoptimized tools are built in a third of the time, and run for some seconds only.
        let install = cmd!(sh, "cargo install {name}@{version} --debug --locked --root {root}");
        let install = install.arg("--target-dir").arg(&objects);
        quietly(&format!("installing {name} {version} below target"), install)
            .with_context(|| format!("cannot install {name}"))?;
    }
    Ok(())
}

/// Returns a search path on which cargo finds the tools.
pub(super) fn search_path() -> Result<OsString> {
    let given = env::var_os("PATH").unwrap_or_default();
    let tools = root()?.join("bin");
    Ok(env::join_paths([tools].into_iter().chain(env::split_paths(&given)))?)
}

fn root() -> Result<PathBuf> {
    Ok(target_dir()?.join(Path::new("tools")))
}
