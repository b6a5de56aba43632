//! What Cargo says of the packages of a workspace.

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};
use xshell::{Cmd, Shell, cmd};

/// Returns the command that describes the packages of this workspace.
pub(crate) fn without_dependencies(sh: &Shell) -> Cmd<'_> {
    cmd!(sh, "cargo metadata --format-version 1 --no-deps")
}

/// Returns the command that describes these packages and all their dependencies.
pub(crate) fn with_dependencies(sh: &Shell) -> Cmd<'_> {
    cmd!(sh, "cargo metadata --format-version 1 --locked")
}

/// Runs one of the commands above.
pub(crate) fn describe(command: Cmd<'_>) -> Result<Metadata> {
    Ok(MetadataCommand::parse(command.read()?)?)
}

/// Returns a package of a workspace.
pub(crate) fn package<'m>(metadata: &'m Metadata, name: &str) -> Result<&'m Package> {
    let package = metadata.packages.iter().find(|package| package.name == name);
    package.with_context(|| format!("the workspace has no package {name}"))
}
